//! Shows a resolver of the caller's own, a table in memory, behind the same client. Leaves out DNS.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::IpAddr;

use async_trait::async_trait;
use sip_signin::discovery::{Absence, Answer, Family, LookupFailure, SrvAnswer, SrvRecord};
use sip_signin::lab::{Lab, Server};
use sip_signin::{Client, HostName, Resolver, SipAddress, SrvName};

/// Records in memory. What is not in it does not exist.
#[derive(Default)]
struct Table {
    services: BTreeMap<String, Vec<SrvRecord>>,
    hosts: BTreeMap<String, Vec<IpAddr>>,
}

#[async_trait]
impl Resolver for Table {
    async fn srv(&self, name: &SrvName) -> Result<Answer<SrvAnswer>, LookupFailure> {
        Ok(match self.services.get(&name.to_string()) {
            Some(records) => {
                Answer::Found(SrvAnswer { records: records.clone(), additional: vec![] })
            }
            None => Answer::Absent(Absence::NoSuchName),
        })
    }

    async fn addresses(
        &self,
        host: &HostName,
        family: Family,
    ) -> Result<Answer<Vec<IpAddr>>, LookupFailure> {
        let Some(all) = self.hosts.get(host.as_str()) else {
            return Ok(Answer::Absent(Absence::NoSuchName));
        };
        let own: Vec<IpAddr> = all.iter().copied().filter(|a| Family::of(*a) == family).collect();
        Ok(if own.is_empty() { Answer::Absent(Absence::NoData) } else { Answer::Found(own) })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address: SipAddress = "jeremy@contoso.com".parse()?;
    let lab = Lab::builder()
        .domain("contoso.com")
        .server(Server::tls("pool01.contoso.com").address([192, 0, 2, 10]))
        .start()
        .await?;

    let mut table = Table::default();
    let record = SrvRecord::new(0, 0, 5061, "pool01.contoso.com");
    table.services.insert("_sipinternaltls._tcp.contoso.com".into(), vec![record]);
    table.hosts.insert("pool01.contoso.com".into(), vec![[192, 0, 2, 10].into()]);

    let client = Client::new(table, lab.tls());
    let challenged = client.challenge(&address).await?;
    println!("{:#}", challenged.trace);
    println!(
        "{} was found in a table; DNS was asked {} times.",
        challenged.endpoint,
        lab.questions().len()
    );
    Ok(())
}
