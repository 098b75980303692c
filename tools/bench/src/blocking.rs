// SPDX-License-Identifier: GPL-2.0

//! A client with blocking system calls: one thread sends, one receives. Used for the send and
//! receive modes that the event loop does not support.

use crate::hurry;
use crate::report::Report;
use crate::request::Finish;
use crate::request::Request;
use crate::request::VERDICT;
use crate::setup::Ends;
use crate::setup::Setup;
use crate::socket;
use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use nix::sys::socket::Shutdown;
use nix::sys::socket::shutdown;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// Timeout for MSG_ZEROCOPY notifications after everything is sent.
const SETTLE: Duration = Duration::from_secs(30);

/// Runs one connection from start to end.
pub fn run(
    address: SocketAddr,
    timeout: Duration,
    setup: &Setup,
    request: &Request,
    report: &mut Report,
) -> Result<()> {
    let mut stream = TcpStream::from(socket::connect_retrying(address, timeout)?);
    let ulp = setup.ulp.as_deref();
    report.ulp(ulp.map(|name| socket::set_ulp(stream.as_fd(), name)));
    stream.write_all(&request.to_bytes())?;
    let mut ends = setup.ends(request, false, stream.as_fd())?;
    let outcome = exchange(&stream, setup.finish, &mut ends);
    report.sent += ends.sender.position;
    report.received += ends.receiver.position;
    if let Some((sends, copied)) = ends.sender.zerocopy() {
        report.zerocopy.sends += sends;
        report.zerocopy.copied += copied;
    }
    outcome?;
    let mut verdict = [0; VERDICT.len()];
    stream
        .read_exact(&mut verdict)
        .context("cannot receive the verdict")?;
    ensure!(verdict == VERDICT, "the server sent more than its stream");
    hurry::sleep_until(Instant::now() + setup.hold.unwrap_or_default());
    match setup.finish {
        Finish::Close | Finish::Shutdown => Ok(()),
        Finish::Reset => Ok(socket::set_reset_on_close(stream.as_fd())?),
        Finish::Disconnect => Ok(socket::disconnect(stream.as_fd())?),
        Finish::Server => {
            let more = stream
                .read(&mut [0])
                .context("waiting for the server to close")?;
            ensure!(more == 0, "the server sent more than its stream");
            Ok(())
        }
    }
}

/// Sends and receives concurrently.
fn exchange(stream: &TcpStream, finish: Finish, ends: &mut Ends) -> Result<()> {
    let fd = stream.as_fd();
    let Ends { sender, receiver } = ends;
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let outcome = (|| {
                while !sender.is_done() {
                    if let Some(due) = sender.due() {
                        hurry::sleep_until(due);
                    }
                    sender.step(fd)?;
                }
                if finish == Finish::Shutdown {
                    shutdown(fd.as_raw_fd(), Shutdown::Write)?;
                }
                sender.settle(fd, SETTLE)
            })();
            // The receiver would otherwise wait forever.
            if outcome.is_err() {
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
            outcome
        });
        let mut received = Ok(());
        while !receiver.is_done() && received.is_ok() {
            received = receiver.step(fd).map(drop);
        }
        if received.is_err() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        let sent = sending
            .join()
            .unwrap_or_else(|_| Err(anyhow::anyhow!("sending thread panicked")));
        match (sent, received) {
            (Ok(()), received) => received,
            (sent, Ok(())) => sent,
            (Err(sent), Err(received)) => Err(received.context(format!("{sent:#}"))),
        }
    })
}
