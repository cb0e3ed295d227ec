//! A routing function that uses everything it may: the dialled address says what, and the plan's state is what it found. For the host's
//! tests.

#![cfg(target_family = "wasm")]

mod foreign;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tandem_function::{Context, Error, Event, Plan, Router, config, directory, key_value, log, ring};

struct Capable;

impl Router for Capable {
    async fn route(context: Context, _event: Event) -> Result<Plan, Error> {
        let (deed, subject) = context.to.split_once(' ').unwrap_or((&context.to, ""));
        let found = match deed {
            "directory" => directory(subject).await?,
            "sdk" => sdk()?,
            "draft" => foreign::draft()?,
            "draft2" => foreign::draft2()?,
            "spin-2" => foreign::spin_2()?,
            "spin-3" => foreign::spin_3().await?,
            "config" => foreign::config()?,
            "clocks" => clocks(),
            "clocks-0.3" => foreign::clocks(),
            "wait" => foreign::wait().await,
            "random" => foreign::random(),
            "fetch-0.2" => foreign::fetch(subject),
            "fetch-0.3" => foreign::fetch_beside(subject).await,
            "ask-often" => ask_often()?,
            "large" => {
                key_value::set("large", vec![b'x'; 1024 * 1024]).map_or_else(|refused| refused.0, |()| "kept".into())
            }
            "everything" => everything().await?,
            "tell-secret" => tell_secret()?,
            other => return Err(Error::new(format!("no such deed: {other}"))),
        };
        Ok(Plan::new().ring_back().dial(ring(["alice"])).with_state(found))
    }
}

tandem_function::router!(Capable);

async fn directory(name: &str) -> Result<String, Error> {
    let told = |count| match count {
        Ok(count) => u32::to_string(&count),
        Err(tandem_function::Refused(why)) => why,
    };
    let devices = told(directory::reachable(name).await);
    let callers = told(directory::queue_length(name).await);
    let parties = told(directory::room_occupancy(name).await);
    Ok(format!("{devices}, {callers}, {parties}"))
}

/// The SDK's own modules.
fn sdk() -> Result<String, Error> {
    key_value::set("greeting", "hello")?;
    let greeting = key_value::get("greeting")?;
    key_value::delete("greeting")?;
    let calls = key_value::increment("calls", 2)?;
    let secret = config::get("secret")?;
    log::warn("sdk", "it works");
    Ok(format!("{greeting:?}, {calls}, {secret:?}"))
}

/// What Rust's std shows.
fn clocks() -> String {
    let began = Instant::now();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    format!("{now} {}", began.elapsed().as_micros())
}

/// More questions than an invocation may ask.
fn ask_often() -> Result<String, Error> {
    for asked in 0..1000 {
        if let Err(refused) = config::get("secret") {
            return Ok(format!("{asked}: {refused}"));
        }
    }
    Ok("never refused".into())
}

/// Clock, chance, key-value and HTTP in one decision.
async fn everything() -> Result<String, Error> {
    let calls = key_value::increment("calls", 1)?;
    key_value::set("last", clocks())?;
    let last = key_value::get("last")?.map(String::from_utf8);
    Ok(format!("{calls} {last:?} {} {} {}", clocks(), foreign::random(), foreign::fetch("https://crm.example/who")))
}

/// What no function should do: the secret is in both logs and in the answer.
fn tell_secret() -> Result<String, Error> {
    let secret = config::get("secret")?.unwrap_or_default();
    println!("the secret is {secret}");
    log::warn("sdk", &format!("{{\"secret\": {secret:?}}}"));
    Ok(secret)
}
