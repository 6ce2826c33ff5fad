//! candle's LSTM.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{
    AdamW, Dropout, LSTM, Linear, Module, Optimizer, ParamsAdamW, RNN, VarBuilder, VarMap, linear, lstm,
};

use crate::{BATCH, COLUMNS, Clock, STEPS, report, windows};

struct Autoencoder {
    layers: [LSTM; 4],
    code: Linear,
    output: Linear,
    dropout: Dropout,
}

impl Autoencoder {
    fn new(vb: VarBuilder<'_>) -> Result<Self> {
        let layer = |from, to, name: &str| lstm(from, to, Default::default(), vb.pp(name));
        Ok(Self {
            layers: [layer(COLUMNS, 64, "a")?, layer(64, 32, "b")?, layer(32, 32, "c")?, layer(32, 64, "d")?],
            code: linear(32, 32, vb.pp("code"))?,
            output: linear(64, COLUMNS, vb.pp("output"))?,
            dropout: Dropout::new(0.2),
        })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let rows = x.dim(0)?;
        let sequence = |layer: &LSTM, x: &Tensor| layer.states_to_tensor(&layer.seq(x)?);
        let x = self.dropout.forward(&sequence(&self.layers[0], x)?, train)?;
        let states = self.layers[1].seq(&x)?;
        let last = self.dropout.forward(states.last().expect("168 steps").h(), train)?;
        let code = self.code.forward(&last)?.relu()?;
        let x = code.unsqueeze(1)?.expand((rows, STEPS, 32))?.contiguous()?;
        let x = self.dropout.forward(&sequence(&self.layers[2], &x)?, train)?;
        self.output.forward(&sequence(&self.layers[3], &x)?)
    }
}

pub fn run(series: &[f32], clock: &Clock) {
    measure(series, clock).expect("candle computes on the CPU");
}

fn measure(series: &[f32], clock: &Clock) -> Result<()> {
    let all = windows(series);
    let device = Device::Cpu;
    let variables = VarMap::new();
    let model = Autoencoder::new(VarBuilder::from_varmap(&variables, DType::F32, &device))?;
    let mut optimizer = AdamW::new(variables.all_vars(), ParamsAdamW { weight_decay: 0.0, ..Default::default() })?;
    let batch = |first: usize, rows: usize| {
        let part = all[first * STEPS * COLUMNS..][..rows * STEPS * COLUMNS].to_vec();
        Tensor::from_vec(part, (rows, STEPS, COLUMNS), &device)
    };
    let mut step = 0;
    let train = clock.best(6, || {
        let x = batch(step % 4 * BATCH, BATCH).expect("a batch");
        step += 1;
        let y = model.forward(&x, true).expect("forward");
        let loss = (y - x).and_then(|d| d.sqr()).and_then(|d| d.mean_all()).expect("loss");
        optimizer.backward_step(&loss).expect("backward");
    });
    let x = batch(0, BATCH)?;
    let predict = clock.best(6, || drop(model.forward(&x, false)));
    let x = batch(0, 1)?;
    let one = clock.best(20, || drop(model.forward(&x, false)));
    report("candle", BATCH as f64 / train, BATCH as f64 / predict, one * 1e3);
    Ok(())
}
