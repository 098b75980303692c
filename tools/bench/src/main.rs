// SPDX-License-Identifier: GPL-2.0

//! `toe-stream`: transfers a known pseudo-random stream in each direction over TCP and compares
//! every byte, so that lost, repeated or altered data is detected and located.

mod blocking;
mod hurry;
mod pattern;
mod reactor;
mod receiver;
mod report;
mod request;
mod sender;
mod setup;
mod socket;
mod talk;
mod uring;

use crate::pattern::Random;
use crate::reactor::Reactor;
use crate::receiver::ReceiveMode;
use crate::report::Report;
use crate::request::Finish;
use crate::request::Request;
use crate::sender::Disturbances;
use crate::sender::SendMode;
use crate::setup::Setup;
use crate::talk::Talk;
use anyhow::Result;
use anyhow::ensure;
use clap::Args;
use clap::Parser;
use nix::errno::Errno;
use nix::sys::socket::SockFlag;
use nix::sys::socket::accept4;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

/// Transfer a known pseudo-random stream in each direction over TCP and compare every byte
#[derive(Debug, Parser)]
#[command(name = "toe-stream", version, max_term_width = 100)]
enum Arguments {
    /// Serve clients, which request the amount of data
    Server {
        /// Address to listen on
        #[arg(default_value = "::")]
        address: IpAddr,
        #[arg(short, long, default_value_t = PORT)]
        port: u16,
        /// Exit after this many connections and print a report
        #[arg(long)]
        once: Option<u64>,
        /// Attach this upper layer protocol to each connection (TCP_ULP)
        #[arg(long)]
        ulp: Option<String>,
        /// Maximum size of a receive; sizes are random up to it
        #[arg(long, value_name = "BYTES", default_value_t = CHUNK)]
        chunk: u32,
    },
    /// Connect to a server, transfer, and print a report in JSON; fail if any byte is wrong
    #[command(args_override_self = true)]
    Client(Client),
}

#[derive(Debug, Args)]
struct Client {
    address: IpAddr,
    #[arg(short, long, default_value_t = PORT)]
    port: u16,
    /// Bytes to send on each connection (k, M, G: powers of 1024)
    #[arg(short, long, value_parser = size, default_value = "1M")]
    upload: u64,
    /// Bytes to receive on each connection
    #[arg(short, long, value_parser = size, default_value = "1M")]
    download: u64,
    /// Total number of connections (default: as many as at once)
    #[arg(short = 'n', long, value_name = "N")]
    total: Option<u64>,
    /// Number of concurrent connections
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    connections: u64,
    /// Maximum size of a send or receive; sizes are random up to it
    #[arg(long, value_name = "BYTES", default_value_t = CHUNK)]
    chunk: u32,
    /// Rate limit of sending in bytes per second on each connection (0: no limit); the server then
    /// sends in proportion to what it has received, so that both directions end together.
    /// SIGUSR1 lifts the limit
    #[arg(long, value_parser = size, default_value = "0")]
    rate: u64,
    /// How to send
    #[arg(long, value_enum, default_value_t)]
    send: SendMode,
    /// How to receive
    #[arg(long, value_enum, default_value_t)]
    receive: ReceiveMode,
    /// Which side closes the connection, and how
    #[arg(long, value_enum, default_value_t)]
    finish: Finish,
    /// Keep connections open for this long after all of them have transferred everything, or until
    /// SIGUSR1
    #[arg(long, value_name = "SECONDS")]
    hold: Option<f64>,
    /// Attach this upper layer protocol (TCP_ULP) after connecting; a refusal is reported and the
    /// transfer continues without it
    #[arg(long)]
    ulp: Option<String>,
    /// Send one byte in the middle of each direction as urgent data
    #[arg(long)]
    urgent: bool,
    /// Set harmless socket options during the transfer
    #[arg(long)]
    options: bool,
    /// Seed of the stream
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Retry for this long while the server does not listen yet
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    connect_timeout: u64,
}

const PORT: u16 = 5300;
const CHUNK: u32 = 64 << 10;

/// Parses a number of bytes with a binary suffix.
fn size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
        Some(b'M') => (&text[..text.len() - 1], 20),
        Some(b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| {
        format!("invalid size '{text}': use a number such as 1000, 64k, 100M or 2G")
    })?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| format!("size '{text}' too large"))
}

fn main() -> ExitCode {
    raise_file_limit();
    let outcome = match Arguments::parse() {
        Arguments::Server {
            address,
            port,
            once,
            ulp,
            chunk,
        } => {
            let setup = Setup {
                ulp: ulp.map(Arc::from),
                chunk: chunk.max(1) as usize,
                ..Setup::default()
            };
            serve(SocketAddr::new(address, port), once, &setup)
        }
        Arguments::Client(client) => client.run(),
    };
    let report = match outcome {
        Ok(report) => report,
        Err(error) => {
            eprintln!("toe-stream: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    match serde_json::to_string(&report) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("toe-stream: {error}"),
    }
    ExitCode::from(u8::from(report.failed > 0))
}

/// Raises the soft limit for open files, which usually is below a thousand connections.
fn raise_file_limit() {
    use nix::sys::resource::Resource;
    use nix::sys::resource::getrlimit;
    use nix::sys::resource::setrlimit;
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // If the limit is too low, opening a socket fails later and is reported.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Serves connections until `once` of them have ended.
fn serve(address: SocketAddr, once: Option<u64>, setup: &Setup) -> Result<Report> {
    let listener = socket::listener(address)?;
    let mut reactor = Reactor::new()?;
    reactor.listen(&listener)?;
    let mut report = Report::default();
    let began = Instant::now();
    while once.is_none_or(|once| report.good + report.failed < once) {
        loop {
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            let fd = match accept4(listener.as_raw_fd(), flags) {
                // SAFETY: accept4() has just opened the descriptor, and nothing else refers to it.
                Ok(fd) => unsafe { OwnedFd::from_raw_fd(fd) },
                Err(Errno::EAGAIN) => break,
                Err(Errno::ECONNABORTED | Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            reactor.add(Talk::server(fd, setup.clone()))?;
        }
        for (talk, outcome) in reactor.turn()? {
            if let Err(error) = &outcome {
                eprintln!("toe-stream: server: {error:#}");
            }
            report.ulp(talk.ulp);
            report.connection(outcome, talk.moved);
        }
    }
    report.seconds = began.elapsed().as_secs_f64();
    Ok(report)
}

impl Client {
    fn run(&self) -> Result<Report> {
        ensure!(
            (1..=1 << 24).contains(&self.chunk),
            "chunk size must be 1 byte to 16 MiB"
        );
        hurry::on_sigusr1()?;
        let began = Instant::now();
        let looped = self.send == SendMode::Send && self.receive == ReceiveMode::Epoll;
        let mut report = if looped {
            self.run_loop()?
        } else {
            self.run_threads()
        };
        report.seconds = began.elapsed().as_secs_f64();
        Ok(report)
    }

    fn setup(&self) -> Setup {
        Setup {
            ulp: self.ulp.as_deref().map(Arc::from),
            send: self.send,
            receive: self.receive,
            chunk: self.chunk as usize,
            finish: self.finish,
            hold: self.hold.map(Duration::from_secs_f64),
            exchanging: Arc::default(),
            disturbances: Disturbances {
                urgent: self.urgent,
                options: self.options,
            },
        }
    }

    /// Request of connection `index`.
    fn request(&self, index: u64) -> Request {
        Request {
            seed: Random::new(self.seed.wrapping_add(index)).next(),
            upload: self.upload,
            download: self.download,
            rate: self.rate,
            chunk: self.chunk,
            urgent: self.urgent,
            server_closes: self.finish == Finish::Server,
        }
    }

    fn total(&self) -> u64 {
        self.total.unwrap_or(self.connections)
    }

    /// Runs all connections in one event loop.
    fn run_loop(&self) -> Result<Report> {
        let address = SocketAddr::new(self.address, self.port);
        let setup = self.setup();
        let deadline = Instant::now() + Duration::from_secs(self.connect_timeout);
        let mut reactor = Reactor::new()?;
        let mut report = Report::default();
        let mut begun = 0;
        while report.good + report.failed < self.total() {
            while begun < self.total() && (reactor.len() as u64) < self.connections.max(1) {
                let fd = socket::begin_connect(address)?;
                reactor.add(Talk::client(fd, setup.clone(), self.request(begun)))?;
                begun += 1;
            }
            let early = report.good == 0 && Instant::now() < deadline;
            let mut again = 0;
            for (talk, outcome) in reactor.turn()? {
                let refused = outcome
                    .as_ref()
                    .is_err_and(|error| error.downcast_ref() == Some(&Errno::ECONNREFUSED));
                if refused && early {
                    again += 1;
                    continue;
                }
                report.ulp(talk.ulp);
                report.connection(outcome, talk.moved);
            }
            if again > 0 {
                // The server does not listen yet. Pause once for all refused connections.
                begun -= again;
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(report)
    }

    /// Runs each connection in threads of its own.
    fn run_threads(&self) -> Report {
        let address = SocketAddr::new(self.address, self.port);
        let setup = self.setup();
        let timeout = Duration::from_secs(self.connect_timeout);
        let next = std::sync::atomic::AtomicU64::new(0);
        let report = std::sync::Mutex::new(Report::default());
        std::thread::scope(|scope| {
            for _ in 0..self.connections.max(1) {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        if index >= self.total() {
                            break;
                        }
                        let mut own = Report::default();
                        let request = self.request(index);
                        let outcome = blocking::run(address, timeout, &setup, &request, &mut own);
                        own.connection(outcome, (0, 0));
                        if let Ok(mut report) = report.lock() {
                            report.merge(own);
                        }
                    }
                });
            }
        });
        report
            .into_inner()
            .unwrap_or_else(|error| error.into_inner())
    }
}
