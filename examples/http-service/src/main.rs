//! cargo run --release -p http-service -- MODEL 127.0.0.1:8080
//!
//! A model that `funnelpulse train` saved behind HTTP. The page `service.md` of the book explains threads, blocking
//! and cancellation.
#![allow(clippy::print_stderr, reason = "the error stream is this service's log")]

mod service;

use std::path::PathBuf;

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let model = PathBuf::from(args.next().context("http-service MODEL [ADDRESS]")?);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    // Two threads answer; scoring has threads of its own (rayon) below them.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let app = service::router(model)?;
        let listener = tokio::net::TcpListener::bind(&address).await.with_context(|| address.clone())?;
        eprintln!("listening on http://{}", listener.local_addr()?);
        // Requests that have begun are answered before it ends.
        let stop = async {
            // Without a signal it goes on for ever.
            let _ = tokio::signal::ctrl_c().await;
        };
        Ok(axum::serve(listener, app).with_graceful_shutdown(stop).await?)
    })
}
