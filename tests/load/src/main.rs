//! The load tool's command line.

fn main() -> anyhow::Result<()> {
    tandem_load::run(std::env::args())
}
