#![allow(missing_docs, clippy::print_stdout, unreachable_pub, dead_code)]
#[path = "rootcause/robustspot.rs"]
mod robustspot;
#[path = "rootcause/score.rs"]
mod score;
use funnelpulse_analytics::*;
fn main() {
    for c in robustspot::read(std::path::Path::new(&std::env::args().nth(1).unwrap())).unwrap() {
        let f = Localizer::new(LocalizeConfig{dispersion: std::env::var("DISP").ok().and_then(|d| d.parse().ok()), ..Default::default()}).unwrap().localize(&c.history.leaves_at(c.period));
        println!("{:?}\n    {:.0} {:.0}", c.truth, f.observed, f.expected);
        for k in &f.causes { println!("    {k} f {:.2} ev {:.1} leaves {}", k.factor, k.evidence, k.leaves); }
    }
}
