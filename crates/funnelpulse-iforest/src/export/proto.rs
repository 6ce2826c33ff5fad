//! The messages of `onnx.proto` that a forest needs, with the field numbers of IR version 8.

use prost::Message;

/// Types of tensor elements.
pub(super) const INT64: i32 = 7;
pub(super) const BOOL: i32 = 9;
pub(super) const DOUBLE: i32 = 11;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Model {
    #[prost(int64, optional, tag = "1")]
    pub(super) ir_version: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub(super) producer_name: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub(super) producer_version: Option<String>,
    #[prost(message, optional, tag = "7")]
    pub(super) graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub(super) opset_import: Vec<Opset>,
    #[prost(message, repeated, tag = "14")]
    pub(super) metadata_props: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Opset {
    #[prost(string, optional, tag = "1")]
    pub(super) domain: Option<String>,
    #[prost(int64, optional, tag = "2")]
    pub(super) version: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Entry {
    #[prost(string, optional, tag = "1")]
    pub(super) key: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(super) value: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub(super) node: Vec<Node>,
    #[prost(string, optional, tag = "2")]
    pub(super) name: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub(super) initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub(super) input: Vec<Value>,
    #[prost(message, repeated, tag = "12")]
    pub(super) output: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Node {
    #[prost(string, repeated, tag = "1")]
    pub(super) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) output: Vec<String>,
    #[prost(string, optional, tag = "3")]
    pub(super) name: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub(super) op_type: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub(super) attribute: Vec<Attribute>,
    #[prost(string, optional, tag = "7")]
    pub(super) domain: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Attribute {
    #[prost(string, optional, tag = "1")]
    pub(super) name: Option<String>,
    #[prost(int64, optional, tag = "3")]
    pub(super) i: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) s: Option<Vec<u8>>,
    #[prost(message, optional, tag = "5")]
    pub(super) t: Option<Tensor>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub(super) ints: Vec<i64>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub(super) strings: Vec<Vec<u8>>,
    /// One of the numbers in `impl Attribute`.
    #[prost(int32, optional, tag = "20")]
    pub(super) kind: Option<i32>,
}

impl Attribute {
    fn new(name: &str, kind: i32) -> Self {
        Self { name: Some(name.to_owned()), kind: Some(kind), ..Self::default() }
    }

    pub(super) fn int(name: &str, i: i64) -> Self {
        Self { i: Some(i), ..Self::new(name, 2) }
    }

    pub(super) fn text(name: &str, text: &str) -> Self {
        Self { s: Some(text.into()), ..Self::new(name, 3) }
    }

    pub(super) fn tensor(name: &str, tensor: Tensor) -> Self {
        Self { t: Some(tensor), ..Self::new(name, 4) }
    }

    pub(super) fn ints(name: &str, ints: Vec<i64>) -> Self {
        Self { ints, ..Self::new(name, 7) }
    }

    pub(super) fn texts(name: &str, texts: &[&str]) -> Self {
        Self { strings: texts.iter().map(|text| text.as_bytes().to_vec()).collect(), ..Self::new(name, 8) }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Tensor {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub(super) dims: Vec<i64>,
    #[prost(int32, optional, tag = "2")]
    pub(super) data_type: Option<i32>,
    #[prost(string, optional, tag = "8")]
    pub(super) name: Option<String>,
    /// Little-endian.
    #[prost(bytes = "vec", optional, tag = "9")]
    pub(super) raw_data: Option<Vec<u8>>,
}

impl Tensor {
    /// A vector of doubles; without a shape, a scalar.
    pub(super) fn doubles(name: &str, dims: &[usize], values: &[f64]) -> Self {
        Self::new(name, dims, DOUBLE, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    pub(super) fn integers(name: &str, dims: &[usize], values: &[i64]) -> Self {
        Self::new(name, dims, INT64, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn new(name: &str, dims: &[usize], data_type: i32, raw: Vec<u8>) -> Self {
        let dims = dims.iter().map(|&dim| dim as i64).collect();
        Self { dims, data_type: Some(data_type), name: Some(name.to_owned()), raw_data: Some(raw) }
    }
}

/// An input or output of a graph.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Value {
    #[prost(string, optional, tag = "1")]
    pub(super) name: Option<String>,
    #[prost(message, optional, tag = "2")]
    pub(super) kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Kind {
    #[prost(message, optional, tag = "1")]
    pub(super) tensor: Option<TensorKind>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorKind {
    #[prost(int32, optional, tag = "1")]
    pub(super) elem_type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    pub(super) shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub(super) dim: Vec<Dim>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Dim {
    #[prost(int64, optional, tag = "1")]
    pub(super) value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub(super) param: Option<String>,
}

impl Value {
    /// A tensor of any number of rows, each with `width` values or one.
    pub(super) fn rows(name: &str, elem_type: i32, width: Option<usize>) -> Self {
        let rows = Dim { value: None, param: Some("rows".to_owned()) };
        let width = width.map(|width| Dim { value: Some(width as i64), param: None });
        let shape = Shape { dim: [Some(rows), width].into_iter().flatten().collect() };
        let tensor = TensorKind { elem_type: Some(elem_type), shape: Some(shape) };
        Self { name: Some(name.to_owned()), kind: Some(Kind { tensor: Some(tensor) }) }
    }
}
