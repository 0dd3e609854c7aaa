//! Shows what a search would do for any address, without a network: the order as a table, and the
//! story it tells in a small world that is written out below. Leaves out everything real.
//!
//! `explain jeremy@contoso.com`

#![expect(clippy::disallowed_methods, reason = "an example is a caller: the clock is its own")]

use std::error::Error;
use std::time::Instant;

use sip_signin::discovery::{
    Absence, Answer, ConnectFailure, DiscoveryPlan, Family, Row, Search, SearchOrder, Seed,
    SrvAnswer, SrvRecord, Step,
};
use sip_signin::{HostNamePolicy, SipAddress};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("sip:jeremy@contoso.com".into());
    let address: SipAddress = address.parse()?;
    let domain = address.domain();

    println!("{address} begins at {domain}. In this order, TLS before clear text:\n");
    for row in SearchOrder::COMMUNICATOR.rows() {
        match row {
            Row::Srv { service, protocol } => {
                println!("  ask     {protocol}  {service}.{domain}");
            }
            Row::Host { label, protocol, port } => {
                println!("  or try  {protocol}  {label}.{domain}:{port}");
            }
        }
    }
    println!(
        "\nAll questions are asked at once; the hosts are tried only if no SRV record exists."
    );
    println!("Clear text is used only where it is allowed; by default its rows are left out.\n");

    for policy in [HostNamePolicy::Strict, HostNamePolicy::Relaxed] {
        println!("--- under {policy:?} naming, if DNS named server77.{domain}:\n");
        let search = Search::builder().names(policy).build()?;
        println!("{}", play(&address, &search)?);
    }
    Ok(())
}

/// Plays a search in a world where DNS names one host, and that host refuses every connection.
fn play(address: &SipAddress, search: &Search) -> Result<String, Box<dyn Error>> {
    let mut now = Instant::now();
    let mut plan = DiscoveryPlan::<()>::new(address, search, Seed(0), now);
    loop {
        let outcome = match plan.poll_step(now) {
            Step::LookupSrv(step) if step.name().service() == "_sipinternaltls._tcp" => {
                let target = format!("server77.{}", address.domain());
                let records = vec![SrvRecord::new(0, 0, 5061, &target)];
                step.answer(Ok(Answer::Found(SrvAnswer { records, additional: vec![] })))
            }
            Step::LookupSrv(step) => step.answer(Ok(Answer::Absent(Absence::NoSuchName))),
            Step::LookupHost(step) if step.family() == Family::V4 => {
                step.answer(Ok(Answer::Found(vec!["192.0.2.77".parse()?])))
            }
            Step::LookupHost(step) => step.answer(Ok(Answer::Absent(Absence::NoData))),
            Step::Connect(step) => step.failed(ConnectFailure::Refused),
            Step::Wait { until } => {
                now = until;
                continue;
            }
            Step::Exhausted(cause) => {
                let advice = cause.advice();
                return Ok(format!("{:#}\n{cause};\n{advice}.\n", plan.trace()));
            }
            Step::Connected(_) | Step::Idle => return Err("nothing was ever established".into()),
        };
        plan.handle(outcome, now);
    }
}
