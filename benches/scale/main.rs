//! Ten thousand sign-ins at once, 50 ms away: what each takes of memory and time, beside a bare
//! connection of the same run. `cargo bench --bench scale`; `--test` runs a hundred.
//!
//! Needs 10,100 open files (`ulimit -n`).

#[expect(dead_code, reason = "the example's `main`")]
#[path = "../../examples/gateway.rs"]
mod gateway;

use gateway::{LOADS, Load, run, serve};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, users, load] = &arguments[..]
        && word == "serve"
    {
        return serve(users.parse()?, Load::named(load));
    }
    let test = arguments.iter().any(|argument| argument == "--test");
    let users = if test { 100 } else { 10_000 };
    for load in LOADS {
        let report = run(load, users, users)?;
        println!("{users} at once, {load:?}\n{report}\n");
        assert!(report.failures.is_empty());
        assert_eq!(report.latencies.len(), users);
    }
    Ok(())
}
