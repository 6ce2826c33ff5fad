fn main() -> anyhow::Result<()> {
    use funnelpulse_iforest::*;
    use ndarray::Array2;
    use std::time::Instant;
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;
    let mut state = 1u64;
    let mut next = || { state ^= state << 13; state ^= state >> 7; state ^= state << 17; (state >> 11) as f64 / (1u64 << 53) as f64 };
    for d in [4, 8, 16, 32, 33] { for n in [20_000usize] {
        let values = Array2::from_shape_fn((n, d), |_| (0..4).map(|_| next()).sum::<f64>());
        for t in [50, 100, 200] {
            let config = IsolationForestConfig { split: Split::Standard, n_trees: t, reservoir: 0, ..Default::default() };
            let forest = IsolationForest::new(config)?;
            let best = |f: &mut dyn FnMut()| (0..7).map(|_| { let t = Instant::now(); f(); t.elapsed().as_secs_f64() }).fold(f64::INFINITY, f64::min);
            let model = forest.fit_values(values.view())?;
            let score = best(&mut || { model.score_values(values.view()).unwrap(); });
            print!("{d} {t}: {:.0} ns/row; ", score*1e9/n as f64);
        }
        println!();
    }}
    Ok(())
}
