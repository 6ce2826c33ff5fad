//! The fused kernel as an operation of burn's: automatic differentiation sees one node whose gradient is
//! already known when the loss is.

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex, TensorMetadata,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind, unary},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::{Tensor, TensorData},
};

use crate::kernel::{self, Dropout, Scratch, Sizes, Windows};

/// The data of the operation beside tensors.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) sizes: Sizes,
    pub(crate) dropout: Option<Dropout>,
    pub(crate) scratch: Scratch,
}

/// Backends that have the fused autoencoder.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait AutoencoderOps: Backend {
    /// Mean squared error of the reconstruction of `inputs` against `targets` (both windows x steps x
    /// values) over the values that `counts` says count.
    fn autoencoder_loss(
        weights: FloatTensor<Self>,
        inputs: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        counts: FloatTensor<Self>,
        plan: Plan,
    ) -> FloatTensor<Self>;
}

/// Loss by the fused kernel; differentiable by `weights`, the flat vector of all of them.
pub(crate) fn loss(weights: Tensor<1>, [inputs, targets, counts]: [Tensor<3>; 3], plan: Plan) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::autoencoder_loss(
        weights.into_dispatch(),
        inputs.into_dispatch(),
        targets.into_dispatch(),
        counts.into_dispatch(),
        plan,
    ))
}

fn run(tensors: [FloatTensor<Flex>; 4], plan: &Plan, gradient: bool) -> (f32, Vec<f32>) {
    let shape = tensors[1].shape();
    let tensors = tensors.map(|tensor| tensor.to_contiguous());
    let [weights, inputs, targets, counts] =
        tensors.each_ref().map(|tensor| tensor.as_slice::<f32>().expect("contiguous tensors of f32 are slices"));
    let windows = Windows { rows: shape[0], steps: shape[1], inputs, targets: Some((targets, counts)) };
    kernel::loss(&plan.sizes, weights, windows, plan.dropout, gradient, &plan.scratch)
}

fn vector(values: Vec<f32>) -> FloatTensor<Flex> {
    let len = values.len();
    FloatTensor::<Flex>::from_data(TensorData::new(values, [len]))
}

impl AutoencoderOps for Flex {
    fn autoencoder_loss(
        weights: FloatTensor<Self>,
        inputs: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        counts: FloatTensor<Self>,
        plan: Plan,
    ) -> FloatTensor<Self> {
        vector(vec![run([weights, inputs, targets, counts], &plan, false).0])
    }
}

impl<C: CheckpointStrategy> AutoencoderOps for Autodiff<Flex, C> {
    fn autoencoder_loss(
        weights: FloatTensor<Self>,
        inputs: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        counts: FloatTensor<Self>,
        plan: Plan,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct LossBackward;

        impl Backward<Flex, 1> for LossBackward {
            /// The gradient of the weights.
            type State = FloatTensor<Flex>;

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                unary::<Flex, _>(ops.parents, ops.node, grads, |upper| {
                    <Flex as burn::backend::ops::FloatTensorOps<Flex>>::float_mul(ops.state, upper)
                });
            }
        }

        let data = [inputs, targets, counts].map(|tensor: FloatTensor<Self>| tensor.into_primitive());
        let [inputs, targets, counts] = data;
        let (weights, node) = weights.into_parts();
        match LossBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (loss, gradient) = run([weights, inputs, targets, counts], &plan, true);
                prep.finish(vector(gradient), vector(vec![loss]))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(vector(vec![run([weights, inputs, targets, counts], &plan, false).0]))
            }
        }
    }
}
