//! A forest as an ONNX model: tree ensembles that add up path lengths, and the score that they make.

use prost::Message;

use super::proto::{Attribute, BOOL, DOUBLE, Entry, Graph, Model, Node, Opset, Tensor, Value};
use crate::{IsolationForestError, IsolationForestModel, grown::GrownNode, path::STEPS};

/// Opsets and file format that ONNX Runtime reads since 1.11 (2022).
const IR_VERSION: i64 = 8;
const OPSET: i64 = 13;
const ML_OPSET: i64 = 3;
const ML_DOMAIN: &str = "ai.onnx.ml";

/// Whole numbers up to here add up exactly in the 32-bit floats that a tree ensemble returns.
const EXACT: u32 = 1 << f32::MANTISSA_DIGITS;

impl IsolationForestModel {
    /// The forest as an ONNX file, for the runtimes of other languages. Forests with `split = standard` only.
    ///
    /// Input `values`, doubles of shape `[rows, columns]`; output `score`, doubles of shape `[rows]`, and where the
    /// model has a threshold `is_anomaly`, booleans of the same shape. Scores are ours but for the rounding of the
    /// last operation, since path lengths are added up in whole numbers. The names of the columns are in the metadata under
    /// `columns`, one a line.
    ///
    /// **Missing values**: a tree of ONNX can't send a row both ways. Rows that miss a value score NaN there, also where
    /// this crate gives a score.
    ///
    /// ```
    /// use funnelpulse_iforest::{IsolationForest, IsolationForestConfig};
    /// use ndarray::Array2;
    ///
    /// let values = Array2::from_shape_fn((500, 2), |(i, j)| ((i * (13 + 8 * j)) as f64).sin());
    /// let model = IsolationForest::new(IsolationForestConfig::standard())?.fit_values(values.view())?;
    /// let file = tempfile::NamedTempFile::new()?;
    /// std::fs::write(&file, model.to_onnx()?)?;
    /// // In Python: onnxruntime.InferenceSession("forest.onnx").run(["score"], {"values": values})
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`IsolationForestError::Export`] for forests with splits on several columns,
    /// [`IsolationForestError::Categorical`] for those with categorical columns.
    pub fn to_onnx(&self) -> Result<Vec<u8>, IsolationForestError> {
        let trees = self.axis_trees("ONNX")?;
        let columns: Vec<&str> = self.columns.iter().map(AsRef::as_ref).collect();
        let model = Model {
            ir_version: Some(IR_VERSION),
            producer_name: Some(env!("CARGO_PKG_NAME").to_owned()),
            producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            graph: Some(self.graph(&trees)),
            opset_import: vec![opset("", OPSET), opset(ML_DOMAIN, ML_OPSET)],
            metadata_props: vec![Entry { key: Some("columns".to_owned()), value: Some(columns.join("\n")) }],
        };
        Ok(model.encode_to_vec())
    }

    fn graph(&self, trees: &[Vec<GrownNode>]) -> Graph {
        let mut nodes = Vec::new();
        let mut sum = String::new();
        for (number, group) in exact_groups(trees).into_iter().enumerate() {
            let (paths, part) = (format!("paths_{number}"), format!("part_{number}"));
            nodes.push(ensemble(group, &paths));
            nodes.push(node("Cast", &[&paths], &part, vec![Attribute::int("to", DOUBLE.into())]));
            sum = if number == 0 {
                part
            } else {
                let total = format!("sum_{number}");
                nodes.push(node("Add", &[&sum, &part], &total, vec![]));
                total
            };
        }
        nodes.extend([
            node("Mul", &[&sum, "per_step"], "exponent", vec![]),
            node("Pow", &["two", "exponent"], "scores", vec![]),
            // A row that misses a value has no score.
            node("IsNaN", &["values"], "gaps", vec![]),
            node("Cast", &["gaps"], "gap_numbers", vec![Attribute::int("to", DOUBLE.into())]),
            node(
                "ReduceMax",
                &["gap_numbers"],
                "gap_number",
                vec![Attribute::ints("axes", vec![1]), Attribute::int("keepdims", 1)],
            ),
            node("Cast", &["gap_number"], "has_gap", vec![Attribute::int("to", BOOL.into())]),
            node("Where", &["has_gap", "nan", "scores"], "column", vec![]),
            node("Squeeze", &["column", "axis"], "score", vec![]),
        ]);
        let exponent_per_step = -1.0 / (self.scorer().usual_path() * trees.len() as f64 * STEPS);
        let mut initializer = vec![
            Tensor::doubles("per_step", &[], &[exponent_per_step]),
            Tensor::doubles("two", &[], &[2.0]),
            Tensor::doubles("nan", &[], &[f64::NAN]),
            Tensor::integers("axis", &[1], &[1]),
        ];
        let mut output = vec![Value::rows("score", DOUBLE, None)];
        if let Some(threshold) = self.threshold {
            nodes.push(node("Greater", &["score", "threshold"], "is_anomaly", vec![]));
            initializer.push(Tensor::doubles("threshold", &[], &[threshold.limit()]));
            output.push(Value::rows("is_anomaly", BOOL, None));
        }
        Graph {
            node: nodes,
            name: Some("isolation_forest".to_owned()),
            initializer,
            input: vec![Value::rows("values", DOUBLE, Some(self.columns.len()))],
            output,
        }
    }
}

fn opset(domain: &str, version: i64) -> Opset {
    Opset { domain: Some(domain.to_owned()), version: Some(version) }
}

fn node(op: &str, inputs: &[&str], output: &str, attribute: Vec<Attribute>) -> Node {
    Node {
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        name: Some(output.to_owned()),
        op_type: Some(op.to_owned()),
        attribute,
        domain: None,
    }
}

/// Trees in groups whose path lengths add up exactly.
fn exact_groups(trees: &[Vec<GrownNode>]) -> Vec<&[Vec<GrownNode>]> {
    let mut groups = Vec::new();
    let (mut start, mut most) = (0, 0);
    for (at, tree) in trees.iter().enumerate() {
        let longest = tree.iter().map(|node| u32::from(node.path)).max().unwrap_or(0);
        if most + longest > EXACT {
            groups.push(&trees[start..at]);
            (start, most) = (at, 0);
        }
        most += longest;
    }
    groups.push(&trees[start..]);
    groups
}

/// One operator that adds up the path lengths of trees, in steps of the fixed point.
fn ensemble(trees: &[Vec<GrownNode>], output: &str) -> Node {
    let nodes = || trees.iter().enumerate().flat_map(|(tree, nodes)| nodes.iter().map(move |node| (tree, node)));
    let ids = || trees.iter().flat_map(|tree| 0..tree.len() as i64);
    let of_nodes = |value: fn(&GrownNode) -> i64| nodes().map(|(_, node)| value(node)).collect::<Vec<i64>>();
    let is_leaf = |node: &GrownNode| node.left == 0;
    let leaves = || nodes().zip(ids()).filter(|((_, node), _)| is_leaf(node));
    let thresholds: Vec<f64> = nodes().map(|(_, node)| if is_leaf(node) { 0.0 } else { node.split }).collect();
    let weights: Vec<f64> = leaves().map(|((_, node), _)| f64::from(node.path)).collect();
    // A row goes left when its value is below the threshold.
    let modes: Vec<&str> = nodes().map(|(_, node)| if is_leaf(node) { "LEAF" } else { "BRANCH_LT" }).collect();
    let attributes = vec![
        Attribute::text("aggregate_function", "SUM"),
        Attribute::int("n_targets", 1),
        Attribute::ints("nodes_falsenodeids", of_nodes(|n| i64::from(n.left) + i64::from(n.left != 0))),
        Attribute::ints("nodes_featureids", of_nodes(|n| i64::from(n.column))),
        Attribute::texts("nodes_modes", &modes),
        Attribute::ints("nodes_nodeids", ids().collect()),
        Attribute::ints("nodes_treeids", nodes().map(|(tree, _)| tree as i64).collect()),
        Attribute::ints("nodes_truenodeids", of_nodes(|n| i64::from(n.left))),
        Attribute::tensor("nodes_values_as_tensor", Tensor::doubles("thresholds", &[thresholds.len()], &thresholds)),
        Attribute::text("post_transform", "NONE"),
        Attribute::ints("target_ids", vec![0; weights.len()]),
        Attribute::ints("target_nodeids", leaves().map(|(_, id)| id).collect()),
        Attribute::ints("target_treeids", leaves().map(|((tree, _), _)| tree as i64).collect()),
        Attribute::tensor("target_weights_as_tensor", Tensor::doubles("paths", &[weights.len()], &weights)),
    ];
    Node { domain: Some(ML_DOMAIN.to_owned()), ..node("TreeEnsembleRegressor", &["values"], output, attributes) }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::{IsolationForest, IsolationForestConfig};

    /// Sum of the path lengths of one row over the trees of an operator, by its attributes alone.
    fn paths(ensemble: &Node, row: &[f64]) -> f64 {
        let find = |name: &str| ensemble.attribute.iter().find(|a| a.name.as_deref() == Some(name)).unwrap();
        let ints = |name: &str| &find(name).ints;
        let doubles = |name: &str| -> Vec<f64> {
            let raw = find(name).t.as_ref().unwrap().raw_data.as_ref().unwrap();
            raw.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
        };
        let (trees, ids, modes) = (ints("nodes_treeids"), ints("nodes_nodeids"), &find("nodes_modes").strings);
        let (thresholds, weights) = (doubles("nodes_values_as_tensor"), doubles("target_weights_as_tensor"));
        let place = |tree: i64, id: i64| (0..ids.len()).find(|&at| (trees[at], ids[at]) == (tree, id)).unwrap();
        let mut sum = 0.0;
        for tree in 0..=*trees.last().unwrap() {
            let mut at = place(tree, 0);
            while modes[at] == b"BRANCH_LT" {
                let is_left = row[ints("nodes_featureids")[at] as usize] < thresholds[at];
                let next = if is_left { "nodes_truenodeids" } else { "nodes_falsenodeids" };
                at = place(tree, ints(next)[at]);
            }
            let leaf = (0..weights.len())
                .find(|&leaf| (ints("target_treeids")[leaf], ints("target_nodeids")[leaf]) == (tree, ids[at]));
            sum += weights[leaf.unwrap()];
        }
        sum
    }

    #[test]
    fn the_written_trees_give_our_scores() {
        let values = Array2::from_shape_fn((200, 3), |(i, j)| ((i * (13 + 8 * j)) as f64).sin());
        let config = IsolationForestConfig { n_trees: 20, ..IsolationForestConfig::standard() };
        let model = IsolationForest::new(config).unwrap().fit_values(values.view()).unwrap();
        let graph = Model::decode(&*model.to_onnx().unwrap()).unwrap().graph.unwrap();
        let per_step = graph.initializer.iter().find(|t| t.name.as_deref() == Some("per_step")).unwrap();
        let per_step = f64::from_le_bytes(per_step.raw_data.as_deref().unwrap().try_into().unwrap());
        let scores = model.score_values(values.view()).unwrap();
        for (row, score) in values.rows().into_iter().zip(&scores).step_by(10) {
            let sum = paths(&graph.node[0], row.as_slice().unwrap());
            assert!(((sum * per_step).exp2() - score).abs() < 1e-12);
        }
    }

    #[test]
    fn sums_of_a_group_are_exact() {
        let tree = |path: u16| vec![GrownNode { path, ..GrownNode::default() }];
        let trees: Vec<_> = (0..600).map(|_| tree(u16::MAX)).collect();
        let groups = exact_groups(&trees);
        assert_eq!(groups.iter().map(|group| group.len()).collect::<Vec<_>>(), [256, 256, 88]);
    }
}
