//! Shows what happens when the pool of 100,000 users fails: how many come back in each second, and
//! to which server. The plan and the back-off of each user really run, in virtual time; there is no network.
//! `cargo run --release --example failover -- 5000` takes another number of users, and with `curve.svg`
//! behind it the curve is drawn into that file too.

#![expect(clippy::disallowed_methods, reason = "an example is a caller: the clock is its own")]

mod plot;
mod simulation;

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use simulation::{Failover, LEFT, SPREAD};

fn main() -> Result<(), Box<dyn Error>> {
    let users = match std::env::args().nth(1) {
        Some(number) => number.parse()?,
        None => 100_000,
    };
    let started = Instant::now();
    let story = Failover::of(users, started);
    let took = started.elapsed();

    println!("connected in each second after the pool failed:");
    for (second, count) in story.curve.iter().enumerate() {
        let width = usize::try_from(count * 50 / story.peak().max(1))?;
        println!("{second:>4} s {count:>7}  {}", "#".repeat(width));
    }
    let (peak, mean) = (story.peak(), story.mean());
    println!(
        "peak {peak}, mean {mean:.0} over {} s: {:.2} times",
        SPREAD.as_secs(),
        peak as f64 / mean
    );
    if let Some(file) = std::env::args().nth(2) {
        plot::draw(&story, Path::new(&file))?;
    }
    println!("the last one after {:.1} s\n", story.last.as_secs_f64());

    let weights: u32 = LEFT.iter().map(|(_, weight)| u32::from(*weight)).sum();
    for (name, weight) in LEFT {
        let reached = story.reached.get(&name.parse()?).copied().unwrap_or_default();
        let share = 100.0 * reached as f64 / users as f64;
        println!("{name}  weight {weight:>2} of {weights}  {reached:>7} clients, {share:.2} %");
    }
    println!(
        "\n{users} users in {:.2} s, {:.1} µs each",
        took.as_secs_f64(),
        took.as_secs_f64() * 1e6 / users as f64
    );
    Ok(())
}
