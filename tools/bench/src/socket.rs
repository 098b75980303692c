// SPDX-License-Identifier: GPL-2.0

//! Sockets and their options.

use anyhow::Context;
use anyhow::Result;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::AddressFamily;
use nix::sys::socket::Backlog;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockType;
use nix::sys::socket::SockaddrStorage;
use nix::sys::socket::bind;
use nix::sys::socket::connect;
use nix::sys::socket::getsockopt;
use nix::sys::socket::listen;
use nix::sys::socket::setsockopt;
use nix::sys::socket::socket;
use nix::sys::socket::sockopt;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::time::Instant;

/// Listen backlog.
const BACKLOG: i32 = 4096;

fn tcp(address: SocketAddr) -> Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // Receive urgent data in line, as part of the stream.
    setsockopt(&fd, sockopt::OobInline, &true)?;
    Ok(fd)
}

/// Creates a non-blocking listening socket.
pub fn listener(address: SocketAddr) -> Result<OwnedFd> {
    let fd = tcp(address)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address))
        .with_context(|| format!("cannot bind {address}"))?;
    listen(&fd, Backlog::new(BACKLOG)?)?;
    set_nonblocking(fd.as_fd())?;
    Ok(fd)
}

/// Starts to connect without waiting for the result.
pub fn begin_connect(address: SocketAddr) -> Result<OwnedFd> {
    let fd = tcp(address)?;
    set_nonblocking(fd.as_fd())?;
    match connect(fd.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(fd),
        Err(error) => Err(error).with_context(|| format!("cannot connect to {address}")),
    }
}

/// Connects. Retries for up to `timeout` while the server does not listen.
pub fn connect_retrying(address: SocketAddr, timeout: Duration) -> Result<OwnedFd> {
    let deadline = Instant::now() + timeout;
    loop {
        let fd = tcp(address)?;
        match connect(fd.as_raw_fd(), &SockaddrStorage::from(address)) {
            Ok(()) => return Ok(fd),
            Err(Errno::ECONNREFUSED) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot connect to {address}"));
            }
        }
    }
}

/// Returns the pending error of the socket (SO_ERROR).
pub fn take_error(fd: BorrowedFd<'_>) -> Result<()> {
    match getsockopt(&fd, sockopt::SocketError)? {
        0 => Ok(()),
        raw => Err(Errno::from_raw(raw).into()),
    }
}

/// Whether the handshake is complete.
pub fn is_connected(fd: BorrowedFd<'_>) -> bool {
    nix::sys::socket::getpeername::<SockaddrStorage>(fd.as_raw_fd()).is_ok()
}

fn set_nonblocking(fd: BorrowedFd<'_>) -> Result<()> {
    use nix::fcntl::FcntlArg;
    use nix::fcntl::OFlag;
    nix::fcntl::fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(())
}

/// Sets an option for which [`nix`] has no type.
pub fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> nix::Result<()> {
    // SAFETY: `value` is readable for the length given, and setsockopt() keeps no pointer to it.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            value.as_ptr().cast(),
            value.len() as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop)
}

/// Sets an option with an `int` value.
pub fn set_int(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> nix::Result<()> {
    set_option(fd, level, name, &value.to_ne_bytes())
}

/// Attaches the upper layer protocol `name` (`TCP_ULP`).
pub fn set_ulp(fd: BorrowedFd<'_>, name: &str) -> nix::Result<()> {
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_ULP, name.as_bytes())
}

/// Makes the next close() reset the connection.
pub fn set_reset_on_close(fd: BorrowedFd<'_>) -> nix::Result<()> {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&fd, sockopt::Linger, &linger)
}

/// Disconnects the socket: `connect` to AF_UNSPEC.
pub fn disconnect(fd: BorrowedFd<'_>) -> nix::Result<()> {
    let none = libc::sockaddr {
        sa_family: libc::AF_UNSPEC as libc::sa_family_t,
        sa_data: [0; 14],
    };
    // SAFETY: `none` is a complete sockaddr of the given length, and connect() keeps no pointer to
    // it.
    let result =
        unsafe { libc::connect(fd.as_raw_fd(), &none, size_of::<libc::sockaddr>() as u32) };
    Errno::result(result).map(drop)
}

/// Options that can be set during a connection without affecting its data.
const OPTIONS: &[(&str, i32, i32, i32)] = &[
    ("TCP_NODELAY", libc::IPPROTO_TCP, libc::TCP_NODELAY, 1),
    ("TCP_CORK", libc::IPPROTO_TCP, libc::TCP_CORK, 1),
    ("TCP_CORK", libc::IPPROTO_TCP, libc::TCP_CORK, 0),
    ("TCP_NODELAY", libc::IPPROTO_TCP, libc::TCP_NODELAY, 0),
    ("TCP_QUICKACK", libc::IPPROTO_TCP, libc::TCP_QUICKACK, 1),
    ("TCP_KEEPIDLE", libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 5),
    ("SO_KEEPALIVE", libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1),
    (
        "TCP_USER_TIMEOUT",
        libc::IPPROTO_TCP,
        libc::TCP_USER_TIMEOUT,
        60_000,
    ),
    (
        "TCP_NOTSENT_LOWAT",
        libc::IPPROTO_TCP,
        libc::TCP_NOTSENT_LOWAT,
        1 << 16,
    ),
    ("SO_RCVBUF", libc::SOL_SOCKET, libc::SO_RCVBUF, 1 << 18),
    ("SO_SNDBUF", libc::SOL_SOCKET, libc::SO_SNDBUF, 1 << 18),
    (
        "TCP_WINDOW_CLAMP",
        libc::IPPROTO_TCP,
        libc::TCP_WINDOW_CLAMP,
        1 << 16,
    ),
    ("SO_PRIORITY", libc::SOL_SOCKET, libc::SO_PRIORITY, 4),
    ("SO_RCVLOWAT", libc::SOL_SOCKET, libc::SO_RCVLOWAT, 4096),
    ("SO_RCVLOWAT", libc::SOL_SOCKET, libc::SO_RCVLOWAT, 1),
];

/// Sets one of the harmless options, `index` modulo their number. Each round ends with a different
/// congestion control.
pub fn set_some_option(fd: BorrowedFd<'_>, index: usize) -> Result<()> {
    let round = index / (OPTIONS.len() + 1);
    match OPTIONS.get(index % (OPTIONS.len() + 1)) {
        Some(&(name, level, option, value)) => {
            set_int(fd, level, option, value).with_context(|| format!("{name} to {value}"))
        }
        None => {
            let name = ["reno", "cubic"][round % 2];
            set_option(fd, libc::IPPROTO_TCP, libc::TCP_CONGESTION, name.as_bytes())
                .with_context(|| format!("TCP_CONGESTION to {name}"))
        }
    }
}
