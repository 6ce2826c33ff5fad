//! Burn's own `nn::Lstm`.

use burn::{
    module::Module,
    nn::{Dropout, DropoutConfig, Linear, LinearConfig, Lstm, LstmConfig},
    optim::{AdamConfig, GradientsParams},
    tensor::{Device, Tensor, TensorData, activation::relu},
};

use crate::{BATCH, COLUMNS, Clock, STEPS, report, windows};

#[derive(Module, Debug)]
struct Autoencoder {
    encoder: [Lstm; 2],
    code: Linear,
    decoder: [Lstm; 2],
    output: Linear,
    dropout: Dropout,
}

impl Autoencoder {
    fn new(device: &Device) -> Self {
        let lstm = |from, to| LstmConfig::new(from, to, true).init(device);
        Self {
            encoder: [lstm(COLUMNS, 64), lstm(64, 32)],
            code: LinearConfig::new(32, 32).init(device),
            decoder: [lstm(32, 32), lstm(32, 64)],
            output: LinearConfig::new(64, COLUMNS).init(device),
            dropout: DropoutConfig::new(0.2).init(),
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [rows, steps, _] = x.dims();
        let x = self.dropout.forward(self.encoder[0].forward(x, None).0);
        let state = self.encoder[1].forward(x, None).1.hidden;
        let code = relu(self.code.forward(self.dropout.forward(state)));
        let x = code.unsqueeze_dim::<3>(1).expand([rows, steps, 32]);
        let x = self.dropout.forward(self.decoder[0].forward(x, None).0);
        self.output.forward(self.decoder[1].forward(x, None).0)
    }
}

pub fn run(series: &[f32], clock: &Clock) {
    let all = windows(series);
    let device = Device::flex();
    let learning = device.clone().autodiff();
    let batch = |first: usize, rows: usize, device: &Device| {
        let part = all[first * STEPS * COLUMNS..][..rows * STEPS * COLUMNS].to_vec();
        Tensor::<3>::from_data(TensorData::new(part, [rows, STEPS, COLUMNS]), device)
    };
    let batches = 6;
    let mut model = Autoencoder::new(&learning);
    let mut optimizer = AdamConfig::new().init();
    let mut step = 0;
    let train = clock.best(batches, || {
        let x = batch(step % 4 * BATCH, BATCH, &learning);
        step += 1;
        let loss = (model.forward(x.clone()) - x).square().mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(1e-3, model.clone(), gradients);
    });
    let model = model.valid();
    let predict = clock.best(batches, || drop(model.forward(batch(0, BATCH, &device)).into_data()));
    let one = clock.best(20, || drop(model.forward(batch(0, 1, &device)).into_data()));
    report("burn", BATCH as f64 / train, BATCH as f64 / predict, one * 1e3);
}
