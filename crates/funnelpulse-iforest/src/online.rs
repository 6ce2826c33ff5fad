//! Learning from rows as they arrive.

use funnelpulse_core::{Error, FrameView, OnlineDetector};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::{
    IsolationForestModel,
    out_of_bag::Bags,
    sample::{Population, is_usable, tree_rng},
    trees::{Nursery, Sapling, replace},
};

/// Most rows that a configuration lets a reservoir hold.
const MAX_ROWS: usize = 1 << 24;
/// Most rows that a model can have seen; a row a nanosecond takes three days.
const MAX_SEEN: u64 = 1 << 48;

/// Recent rows to grow trees from, and how far the forest has been renewed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reservoir {
    /// Row after row.
    pub(crate) rows: Vec<f64>,
    /// Most rows it holds; 0 when the model is not to be updated.
    pub(crate) capacity: usize,
    /// Rows seen since fitting.
    pub(crate) seen: u64,
    /// Trees replaced since fitting.
    pub(crate) replaced: u64,
}

impl Reservoir {
    /// The latest rows of the nursery's table, or where rows have no order a sample of them.
    pub(crate) fn fill(nursery: &Nursery<'_>, recent: bool) -> Self {
        if nursery.config.reservoir == 0 {
            return Self::default();
        }
        let capacity = nursery.config.reservoir.max(nursery.samples);
        let row = |row: usize| &nursery.table[row * nursery.width..][..nursery.width];
        let n = nursery.table.len() / nursery.width;
        let chosen: Vec<usize> = if recent {
            let usable = |&r: &usize| is_usable(row(r)) && nursery.population.admits(r);
            let mut latest: Vec<usize> = (0..n).rev().filter(usable).take(capacity).collect();
            latest.reverse();
            latest
        } else {
            let mut rows = Vec::new();
            let samples = capacity.min(nursery.population.len());
            nursery.population.draw_distinct(samples, &mut tree_rng(nursery.config.seed, u64::MAX - 1), &mut rows);
            rows.into_iter().map(|r| r as usize).collect()
        };
        Self { rows: chosen.into_iter().flat_map(row).copied().collect(), capacity, seen: 0, replaced: 0 }
    }

    /// True if a model of `n_trees` trees on `samples` rows can have it.
    pub(crate) fn is_valid(&self, width: usize, n_trees: usize, samples: usize) -> bool {
        let rows_fit = self.rows.len() <= self.capacity.saturating_mul(width) && self.rows.len().is_multiple_of(width);
        let counts_fit = self.capacity <= MAX_ROWS.max(samples)
            && self.seen <= MAX_SEEN
            && self.replaced == self.due(n_trees, self.seen);
        counts_fit && rows_fit && self.rows.chunks_exact(width).all(is_usable)
    }

    /// Trees that should have been replaced after `seen` rows.
    fn due(&self, n_trees: usize, seen: u64) -> u64 {
        // Rows and trees are far below 2^64 in product.
        (seen * n_trees as u64).checked_div(self.capacity as u64).unwrap_or(0)
    }

    /// The rows of both, thinned evenly to the larger capacity.
    pub(crate) fn merge(&self, other: &Self, width: usize) -> Self {
        let capacity = self.capacity.max(other.capacity);
        let rows: Vec<&[f64]> = self.rows.chunks_exact(width).chain(other.rows.chunks_exact(width)).collect();
        let kept = rows.len().min(capacity);
        let thinned = (0..kept).flat_map(|i| rows[i * rows.len() / kept]).copied().collect();
        Self { rows: thinned, capacity, seen: 0, replaced: 0 }
    }

    /// Takes a row in; once full, in the place of a random one, so that a row's chance of being
    /// there fades exponentially with its age (Aggarwal 2006).
    fn take(&mut self, row: &[f64], seed: u64) {
        let full = self.rows.len() / row.len() >= self.capacity;
        if full {
            // A stream of its own for every row: how rows are cut into batches makes no difference.
            let slot = tree_rng(!seed, self.seen).random_range(0..self.capacity as u64) as usize;
            self.rows[slot * row.len()..][..row.len()].copy_from_slice(row);
        } else {
            self.rows.extend_from_slice(row);
        }
        self.seen += 1;
    }
}

impl OnlineDetector for IsolationForestModel {
    /// Each row enters a reservoir of recent rows; as many rows as the reservoir holds renew the
    /// whole forest, the oldest tree first. Memory stays what it is, and so does the scale of the
    /// scores: every tree is grown on as many rows, stopped at the same depth, and measured by the
    /// same `c(psi)`. A threshold stays; calibrate again when the data have moved. Rows without
    /// any value are passed over. The result does not depend on how rows are cut into batches.
    fn update(&mut self, rows: FrameView<'_>) -> Result<(), Error> {
        let values = rows.aligned(&self.columns)?;
        let n_trees = self.n_trees();
        let usable = values.rows().into_iter().filter(|row| row.iter().any(|v| !v.is_nan())).count() as u64;
        let seen = self.reservoir.seen.saturating_add(usable).min(MAX_SEEN);
        // Trees that later rows of this batch replace again are not grown.
        let lasting = self.reservoir.due(n_trees, seen).saturating_sub(n_trees as u64);
        let mut saplings: Vec<(usize, Sapling)> = Vec::new();
        for row in values.rows() {
            if row.iter().all(|v| v.is_nan()) || self.reservoir.seen == MAX_SEEN {
                continue;
            }
            self.reservoir.take(&row.to_vec(), self.config.seed);
            while self.reservoir.replaced < self.reservoir.due(n_trees, self.reservoir.seen) {
                let number = self.reservoir.replaced;
                if number >= lasting {
                    let index = (number % n_trees as u64) as usize;
                    saplings.extend(self.sapling(n_trees as u64 + number, index));
                }
                self.reservoir.replaced += 1;
            }
        }
        if !saplings.is_empty() {
            replace(&mut self.trees, saplings);
        }
        self.bags = Bags::Unknown;
        Ok(())
    }

    /// No: trees grown at different times have seen different rows.
    fn update_equals_refit(&self) -> bool {
        false
    }
}

impl IsolationForestModel {
    /// A tree on the reservoir to take the place of the tree `index`.
    fn sapling(&self, number: u64, index: usize) -> Option<(usize, Sapling)> {
        let width = self.columns.len();
        let population = Population::new(&self.reservoir.rows, width, None, self.config.bootstrap);
        if population.len() < 2 {
            return None;
        }
        let samples = self.samples.min(population.len());
        let nursery = Nursery::new(&self.config, &self.columns, &self.reservoir.rows, population, samples);
        let mut first = 0;
        let group = self.trees.iter().find(|trees| {
            first += trees.len();
            index < first
        })?;
        Some((index, nursery.grow_among(group, number)?))
    }
}
