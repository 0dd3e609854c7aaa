//! The laws of the discovery plan, each a property over arbitrary worlds with a liveness clause.
//!
//! `SIGNIN_CASES=100000` raises the number of cases of each law; `SIGNIN_SEED=7` draws others.

#[path = "common/world.rs"]
mod world;

#[path = "common/walk.rs"]
mod walk;

#[path = "common/zones.rs"]
mod zones;

#[path = "common/oracle.rs"]
mod oracle;

#[path = "laws/runner.rs"]
mod runner;

#[path = "laws/ending.rs"]
mod ending;

#[path = "laws/order.rs"]
mod order;

#[path = "laws/loops.rs"]
mod loops;

#[path = "laws/scene.rs"]
mod scene;

#[path = "laws/pace.rs"]
mod pace;

#[path = "laws/rulings.rs"]
mod rulings;

#[path = "laws/answers.rs"]
mod answers;

#[path = "laws/limits.rs"]
mod limits;

#[path = "laws/adoption.rs"]
mod adoption;

#[path = "laws/trust.rs"]
mod trust;

#[path = "laws/memory.rs"]
mod memory;

#[path = "laws/folding.rs"]
mod folding;
