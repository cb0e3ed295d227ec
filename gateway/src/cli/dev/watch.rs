//! Following a function's source: build, load, deploy; then again at every change.

use std::time::{Duration, Instant};

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::source::FunctionSource;
use crate::gateway::Deployer;

/// How long a burst of changes is waited out: editors write a file in several steps.
const SETTLE: Duration = Duration::from_millis(150);

/// Builds and deploys now, then at every change, until it is aborted. What goes wrong is shown, and waited out.
pub(crate) async fn follow(source: FunctionSource, deployer: Deployer) {
    let (changed, mut changes) = mpsc::channel(1);
    let watched = source.clone();
    let on_event = move |event: notify::Result<notify::Event>| {
        if let Ok(event) = event
            && !event.kind.is_access()
            && event.paths.iter().any(|path| watched.concerns(path))
        {
            // A change that is already waiting to be seen stands for this one too.
            let _ = changed.try_send(());
        }
    };
    let watcher = notify::recommended_watcher(on_event).and_then(|mut watcher| {
        watcher.watch(source.folder(), RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    if let Err(error) = &watcher {
        eprintln!("changes of {} cannot be watched: {error}", source.folder().display());
    }
    loop {
        renew(&source, &deployer).await;
        if changes.recv().await.is_none() {
            return;
        }
        tokio::time::sleep(SETTLE).await;
        let _ = changes.try_recv();
    }
}

async fn renew(source: &FunctionSource, deployer: &Deployer) {
    let started = Instant::now();
    println!("function: preparing {} …", source.folder().display());
    let component = match source.component().await {
        Ok(component) => component,
        Err(error) => return eprintln!("function: {error}"),
    };
    match deployer.deploy(component).await {
        Ok(version) => {
            println!("function: {version} is live for the next call ({:.1} s)", started.elapsed().as_secs_f64())
        }
        Err(error) => eprintln!("function: {error:#}; the version before it keeps answering"),
    }
}
