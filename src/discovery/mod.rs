//! stub
mod answer;
mod order;
mod pace;
mod srv;
mod step;
mod trace;
pub use answer::*;
pub use order::*;
pub use pace::*;
pub use srv::*;
pub use step::*;
pub use trace::*;
