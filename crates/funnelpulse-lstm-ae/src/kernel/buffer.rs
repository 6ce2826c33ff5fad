//! Memory that vector registers like.

use std::ops::{Deref, DerefMut};

/// Floats from the start of a cache line on: a 64-byte load that straddles two lines costs two.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    data: Vec<f32>,
    start: usize,
    len: usize,
}

const LINE: usize = 64;

impl Buffer {
    /// Makes it `len` long; what it holds is arbitrary where it was there before.
    pub(crate) fn resize(&mut self, len: usize) {
        let room = len + LINE / size_of::<f32>();
        if self.data.len() < room {
            self.data = vec![0.0; room];
            self.start = self.data.as_ptr().align_offset(LINE).min(LINE / size_of::<f32>());
        }
        self.len = len;
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.data[self.start..self.start + self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[self.start..self.start + self.len]
    }
}
