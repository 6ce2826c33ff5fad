//! Weights as safetensors: a format that other tools read, and that holds numbers only.

use safetensors::{Dtype, SafeTensors, serialize, tensor::TensorView};

use crate::kernel::Sizes;

/// The bytes of a safetensors file with the names of [`Sizes::tensors`].
pub(crate) fn write(sizes: &Sizes, flat: &[f32]) -> Vec<u8> {
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = sizes
        .tensors()
        .into_iter()
        .zip(sizes.split(flat))
        .map(|((name, shape), values)| {
            let shape = if name.ends_with("bias") { vec![shape[1]] } else { shape.to_vec() };
            (name, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, data)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), data);
        (name, view.expect("a tensor has as many bytes as its shape says"))
    });
    serialize(views, None).expect("tensors of f32 with their own names can be written")
}

/// The flat vector from a safetensors file; everything in it must be as `sizes` say.
pub(crate) fn read(sizes: &Sizes, bytes: &[u8]) -> Result<Vec<f32>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
    let expected = sizes.tensors();
    if file.len() != expected.len() {
        return Err(format!("{} tensors, expected {}", file.len(), expected.len()));
    }
    let mut flat = Vec::new();
    for (name, [rows, columns]) in expected {
        let tensor = file.tensor(&name).map_err(|e| format!("{name}: {e}"))?;
        let shape = if name.ends_with("bias") { vec![columns] } else { vec![rows, columns] };
        if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
            return Err(format!(
                "{name}: {:?} of shape {:?}, expected f32 of {shape:?}",
                tensor.dtype(),
                tensor.shape()
            ));
        }
        let (values, _) = tensor.data().as_chunks::<4>();
        flat.extend(values.iter().map(|value| f32::from_le_bytes(*value)));
    }
    if flat.iter().all(|w| w.is_finite()) { Ok(flat) } else { Err("weights that are no numbers".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_survive_and_others_are_refused() {
        let sizes = Sizes { inputs: 2, outputs: 2, encoder: vec![3], bottleneck: 2, decoder: vec![3] };
        let flat: Vec<f32> = (0..sizes.len()).map(|i| i as f32 * 0.1).collect();
        let bytes = write(&sizes, &flat);
        assert_eq!(read(&sizes, &bytes).unwrap(), flat);
        let other = Sizes { bottleneck: 3, ..sizes.clone() };
        assert!(read(&other, &bytes).is_err());
        assert!(read(&sizes, &bytes[1..]).is_err());
        assert!(read(&sizes, &write(&sizes, &vec![f32::NAN; flat.len()])).is_err());
    }
}
