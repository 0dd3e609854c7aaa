//! The registrar behind an open connection: reads requests, answers as an Office Communications
//! Server 2007 R2 does, or as badly as it was told to.

use std::io;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::acceptor::{Desk, Reply, Session, not_allowed};
use super::fault::SipFault;
use super::seen::Note;
use crate::random::RandomError;
use crate::sip::Message;

/// What a registrar says to a REGISTER.
///
/// Everything that an answer must echo (Via, From, To, Call-ID, CSeq) is filled in.
///
/// ```
/// use sip_signin::lab::Answer;
/// let busy = Answer::status(503, "Service Unavailable").header("Retry-After: 30");
/// let moved = Answer::redirect(["<sip:pool02.contoso.com:5061;transport=TLS>;q=0.7"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    reason: String,
    challenge: bool,
    headers: Vec<String>,
    trying: bool,
    foreign_call_id: bool,
}

impl Answer {
    /// The good one to a request without credentials: 401 with the schemes that the server offers
    /// ([`Server::offers`](super::Server::offers)).
    pub fn challenge() -> Self {
        Self { challenge: true, ..Self::status(401, "Unauthorized") }
    }

    /// A final answer with this status code and nothing that is not asked for.
    pub fn status(code: u16, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        let (challenge, headers, trying, foreign_call_id) = (false, Vec::new(), false, false);
        Self { status: code, reason, challenge, headers, trying, foreign_call_id }
    }

    /// 301 to other servers; each contact as it stands behind `Contact:`.
    pub fn redirect<C: AsRef<str>>(contacts: impl IntoIterator<Item = C>) -> Self {
        let moved = Self::status(301, "Redirect request to Home Server");
        contacts
            .into_iter()
            .fold(moved, |answer, contact| answer.header(format!("Contact: {}", contact.as_ref())))
    }

    /// Adds one header line, `Name: value`.
    #[must_use]
    pub fn header(mut self, line: impl Into<String>) -> Self {
        self.headers.push(line.into());
        self
    }

    /// Says `100 Trying` first.
    #[must_use]
    pub fn after_trying(self) -> Self {
        Self { trying: true, ..self }
    }

    /// Answers a Call-ID that nobody asked about.
    #[must_use]
    pub fn to_foreign_call_id(self) -> Self {
        Self { foreign_call_id: true, ..self }
    }
}

/// The answer that a fault is, where it is one.
fn bad_answer(fault: SipFault) -> Option<Answer> {
    let answer = match fault {
        SipFault::Busy => Answer::status(503, "Service Unavailable").header("Retry-After: 30"),
        SipFault::Forbidden => Answer::status(403, "Forbidden").header(
            "ms-diagnostics: 4004;reason=\"Credentials provided are not authorized to act as \
             specified From URI\";source=\"server.contoso.com\"",
        ),
        SipFault::ForeignCallId => Answer::challenge().to_foreign_call_id(),
        SipFault::NoChallenge => Answer::status(401, "Unauthorized"),
        SipFault::NotFound => Answer::status(404, "Not Found"),
        SipFault::Unchallenged => Answer::status(200, "OK").header("Expires: 7200"),
        _ => return None,
    };
    Some(answer)
}

/// How one server answers, whatever the connection.
#[derive(Clone, Debug)]
pub(super) struct Registrar {
    pub(super) desk: Desk,
    /// One for each request of a connection; the last one is for all further ones.
    pub(super) answers: Vec<Answer>,
    pub(super) interval: Duration,
    /// What goes into `Date`; the time of the answer where there is none.
    pub(super) date: Option<SystemTime>,
}

impl Registrar {
    /// Answers requests until one side ends the connection.
    pub(super) async fn serve<S>(&self, stream: &mut S, note: &Note) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut unread = Vec::new();
        let mut session = Session::new(&self.desk).map_err(io::Error::other)?;
        let mut answers = self.answers.iter();
        let mut answer = Answer::challenge();
        while let Some(request) = read_request(stream, &mut unread, note).await? {
            if request.is_response() {
                let message = Message::parse(request.bytes.clone());
                note.signed(message.is_ok_and(|message| session.trusts(&message)));
                continue;
            }
            if request.method() == "REGISTER"
                && let Some(next) = answers.next()
            {
                answer = next.clone();
            }
            match self.desk.control.fault() {
                Some(SipFault::Silent) => continue,
                Some(SipFault::Close) => return Ok(()),
                Some(SipFault::Garbage) => stream.write_all(GARBAGE).await?,
                Some(SipFault::EndlessHeaders) => {
                    stream.write_all(b"SIP/2.0 401 Unauthorized\r\n").await?;
                    loop {
                        stream.write_all(b"X-Filler: and so on, and so on, and so on\r\n").await?;
                        stream.flush().await?;
                    }
                }
                Some(SipFault::CloseMidAnswer) => {
                    let text = self.text(&request, &answer, &mut session, note)?;
                    let (half, _) = text.split_at(text.len().div_euclid(2));
                    stream.write_all(half).await?;
                    return stream.flush().await;
                }
                Some(SipFault::Slow) => {
                    for byte in self.text(&request, &answer, &mut session, note)? {
                        stream.write_all(&[byte]).await?;
                        stream.flush().await?;
                        tokio::time::sleep(self.interval).await;
                    }
                }
                _ => stream.write_all(&self.text(&request, &answer, &mut session, note)?).await?,
            }
            stream.flush().await?;
        }
        Ok(())
    }

    /// What to answer: what a fault says, what is right, or what is `scripted`.
    fn reply(
        &self,
        request: &Request,
        scripted: &Answer,
        session: &mut Session<'_>,
    ) -> Result<Reply, RandomError> {
        let answer = match self.desk.control.fault().and_then(bad_answer) {
            Some(bad) => bad,
            None if self.answers.is_empty() && !self.desk.accounts.is_empty() => {
                return match Message::parse(request.bytes.clone()) {
                    Ok(message) => session.answer(&message, self.now()),
                    Err(_) => Ok(Answer::status(400, "Bad Request").into()),
                };
            }
            None => scripted.clone(),
        };
        Ok(if request.method() == "REGISTER" { answer } else { not_allowed() }.into())
    }

    /// The answer as it goes out.
    fn text(
        &self,
        request: &Request,
        scripted: &Answer,
        session: &mut Session<'_>,
        note: &Note,
    ) -> io::Result<Vec<u8>> {
        let reply = self.reply(request, scripted, session).map_err(io::Error::other)?;
        let Reply { answer, signed, proved } = reply;
        note.signed(signed.is_some());
        let mut text = String::new();
        if answer.trying {
            text.push_str("SIP/2.0 100 Trying\r\n");
            text.push_str(&request.echo(false, false));
            text.push_str("Content-Length: 0\r\n\r\n");
        }
        let mut last = self.last(request, &answer, session).map_err(io::Error::other)?;
        if let Some(info) = signed {
            last = session.sign(last, info).map_err(io::Error::other)?;
        }
        text.push_str(&last);
        if proved
            && request.method() == "MESSAGE"
            && let Ok(message) = Message::parse(request.bytes.clone())
        {
            let handed_on = session.hand_on(&message).map_err(io::Error::other)?;
            text.push_str(&handed_on.unwrap_or_default());
        }
        Ok(text.into_bytes())
    }

    /// The final answer, not yet signed.
    fn last(
        &self,
        request: &Request,
        answer: &Answer,
        session: &mut Session<'_>,
    ) -> Result<String, RandomError> {
        let mut text = format!("SIP/2.0 {} {}\r\n", answer.status, answer.reason);
        let mut line = |line: &str| {
            text.push_str(line);
            text.push_str("\r\n");
        };
        if answer.challenge {
            for challenge in session.challenges()? {
                line(&format!("WWW-Authenticate: {challenge}"));
            }
        }
        line(&format!("Date: {}", date(self.now())));
        for header in &answer.headers {
            line(header);
        }
        text.push_str(&request.echo(true, answer.foreign_call_id));
        text.push_str("Server: RTC/3.5\r\nContent-Length: 0\r\n\r\n");
        Ok(text)
    }

    fn now(&self) -> SystemTime {
        self.date.unwrap_or_else(SystemTime::now)
    }
}

/// Bytes that no reader of SIP can take for an answer, and ends of lines, so that it need not wait.
const GARBAGE: &[u8] =
    b"\xa5\x5a\x00\xff no reader can take this for an answer, however lenient it may be\r\n\r\n";

/// A request, as far as an answer needs it.
struct Request {
    start: String,
    headers: Vec<(String, String)>,
    /// All of it, once it has come.
    bytes: Bytes,
}

impl Request {
    /// The longest request, in bytes.
    const LIMIT: usize = 64 * 1024;

    fn read(head: &str) -> Self {
        let mut lines = head.lines();
        let start = lines.next().unwrap_or_default().into();
        let split = |line: &str| line.split_once(':').map(|(n, v)| (long(n), v.trim().to_owned()));
        Self { start, headers: lines.filter_map(split).collect(), bytes: Bytes::new() }
    }

    fn is_response(&self) -> bool {
        self.start.starts_with("SIP/")
    }

    fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(n, _)| n == name).map(|(_, value)| &**value)
    }

    /// How many bytes follow the head. What is no number counts as none.
    fn body(&self) -> usize {
        self.values("content-length").next().and_then(|n| n.parse().ok()).unwrap_or(0)
    }

    /// The header lines of an answer that come from the request. [RFC 3261 section 8.2.6.2]
    fn echo(&self, tag: bool, foreign_call_id: bool) -> String {
        let mut text = String::new();
        for (name, shown) in [
            ("via", "Via"),
            ("from", "From"),
            ("to", "To"),
            ("call-id", "Call-ID"),
            ("cseq", "CSeq"),
        ] {
            for value in self.values(name) {
                let (value, end) = match name {
                    "call-id" if foreign_call_id => ("0f0e0d0c0b0a09080706050403020100", ""),
                    "to" if tag && !value.contains(";tag=") => (value, ";tag=5E61CCD925D17E04"),
                    _ => (value, ""),
                };
                text.push_str(&format!("{shown}: {value}{end}\r\n"));
            }
        }
        text
    }
}

/// The long form of a header name, in lower case. [RFC 3261 section 7.3.3]
fn long(name: &str) -> String {
    match name.trim().to_ascii_lowercase().as_str() {
        "f" => "from".into(),
        "i" => "call-id".into(),
        "l" => "content-length".into(),
        "t" => "to".into(),
        "v" => "via".into(),
        name => name.into(),
    }
}

/// The next request; `None` when the client has closed. What was read beyond it stays in `unread`.
async fn read_request<S: AsyncRead + Unpin>(
    stream: &mut S,
    unread: &mut Vec<u8>,
    note: &Note,
) -> io::Result<Option<Request>> {
    loop {
        // A client keeps its connection alive with empty lines. [RFC 5626 section 3.5.1]
        let empty = unread.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        note.empty_lines(unread.drain(..empty).filter(|&byte| byte == b'\n').count());
        if let Some(end) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = end.saturating_add(4);
            let (text, rest) = unread.split_at_checked(head).unwrap_or_default();
            let mut request = Request::read(&String::from_utf8_lossy(text));
            if rest.len() >= request.body() {
                request.bytes = unread.drain(..head.saturating_add(request.body())).collect();
                return Ok(Some(request));
            }
        }
        if unread.len() > Request::LIMIT {
            return Err(io::Error::other("request too long"));
        }
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await?;
        let came = buffer.get(..count).unwrap_or_default();
        if came.is_empty() {
            return Ok(None);
        }
        note.sip(came);
        unread.extend_from_slice(came);
    }
}

/// The only form of a date in SIP: `Thu, 31 Jan 2008 00:01:56 GMT`. [RFC 3261 section 20.17]
fn date(time: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (mut days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let weekday = DAYS.iter().cycle().nth(days.rem_euclid(7) as usize).unwrap_or(&"Thu");
    let mut year = 1970_u64;
    let leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
    let length = |year| if leap(year) { 366 } else { 365 };
    while days >= length(year) {
        days = days.saturating_sub(length(year));
        year = year.saturating_add(1);
    }
    let mut month = "Jan";
    for (name, length) in
        MONTHS.into_iter().zip([31_u64, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    {
        let length = if name == "Feb" && leap(year) { 29 } else { length };
        month = name;
        if days < length {
            break;
        }
        days = days.saturating_sub(length);
    }
    let day = days.saturating_add(1);
    let (hour, minute) = (second.div_euclid(3600), second.div_euclid(60).rem_euclid(60));
    let second = second.rem_euclid(60);
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, shown) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_799, "Tue, 29 Feb 2000 23:59:59 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_201_737_716, "Thu, 31 Jan 2008 00:01:56 GMT"),
            (1_230_768_000 - 1, "Wed, 31 Dec 2008 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            assert_eq!(date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), shown);
        }
    }
}
