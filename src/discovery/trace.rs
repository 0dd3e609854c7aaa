//! stub
#[derive(Debug, Clone)]
pub enum Cause {}
