//! Which shard a QUIC packet belongs to.
//!
//! One rule for the kernel and for the identifiers that the gateway issues: the first byte of the destination connection
//! identifier, modulo the number of shards. A client's first packets carry an identifier of its own making, random, so
//! connections spread; every later one carries an identifier that the shard made, so they come home whatever address they are
//! sent from. A classic BPF program on the `SO_REUSEPORT` group does the same sum in the kernel; its result is the socket's index in
//! the group, which is the order of binding.
//!
//! Known limit: where a network card coalesces packets of several connections that share one address and port (generic receive
//! offload), only the first decides. Voice clients have one connection each.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use quinn::{ConnectionId, ConnectionIdGenerator};
use rand::Rng as _;
use socket2::{Domain, Protocol, Socket, Type};

use super::limits;

/// Bytes of the gateway's connection identifiers: 63 bits and more of chance.
const CONNECTION_ID_BYTES: usize = 9;

/// How often a free port is looked for when any will do.
const PORT_ATTEMPTS: usize = 16;

/// The shard that packets to a connection identifier with this first byte belong to.
pub fn shard_of(first_byte: u8, shards: usize) -> usize {
    usize::from(first_byte) % shards
}

/// Makes connection identifiers that lead to one shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShardIdentifiers {
    pub(crate) shard: usize,
    pub(crate) shards: usize,
}

impl ConnectionIdGenerator for ShardIdentifiers {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut bytes = [0; CONNECTION_ID_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        // Random among the first bytes that lead here: fewer of them when the number of shards does not divide 256.
        let choices = (256 - self.shard).div_ceil(self.shards);
        let first = self.shard + self.shards * (usize::from(bytes[0]) % choices);
        bytes[0] = u8::try_from(first).expect("a choice below the number of choices stays within a byte");
        ConnectionId::new(&bytes)
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

/// How many shards this system can steer between, of `wanted`.
pub fn shards_possible(wanted: usize) -> usize {
    if cfg!(target_os = "linux") { wanted } else { 1 }
}

/// Binds one socket for each shard to `address`; port 0 means any free port, the same for all.
///
/// # Errors
/// When the address is taken, by another gateway too, or the system refuses to steer.
pub fn bind_group(address: SocketAddr, shards: usize) -> io::Result<Vec<UdpSocket>> {
    if shards == 1 {
        return Ok(vec![open(address)?.into()]);
    }
    let mut attempt = 1;
    loop {
        match bind_group_once(address, shards) {
            Err(error)
                if address.port() == 0 && error.kind() == io::ErrorKind::AddrInUse && attempt < PORT_ATTEMPTS =>
            {
                attempt += 1;
            }
            result => return result,
        }
    }
}

fn bind_group_once(address: SocketAddr, shards: usize) -> io::Result<Vec<UdpSocket>> {
    // With SO_REUSEPORT the system would let a second gateway of the same user join the first one's group, and misdirect both.
    // A socket without it finds out.
    let probe: UdpSocket = open(address)?.into();
    let address = probe.local_addr()?;
    drop(probe);
    let sockets = (0..shards).map(|_| open_shared(address)).collect::<io::Result<Vec<Socket>>>()?;
    kernel::steer(&sockets[0], shards)?;
    Ok(sockets.into_iter().map(UdpSocket::from).collect())
}

fn socket_for(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    socket.set_recv_buffer_size(limits::SOCKET_BUFFER_BYTES)?;
    socket.set_send_buffer_size(limits::SOCKET_BUFFER_BYTES)?;
    Ok(socket)
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = socket_for(address)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(unix)]
fn open_shared(address: SocketAddr) -> io::Result<Socket> {
    let socket = socket_for(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(not(unix))]
fn open_shared(address: SocketAddr) -> io::Result<Socket> {
    open(address)
}

#[cfg(target_os = "linux")]
mod kernel {
    //! The only system call that no crate of the project offers safely.

    use std::io;
    use std::os::fd::AsRawFd as _;

    use socket2::Socket;

    const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
    const JUMP_IF_SET: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
    const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
    const MODULO: u16 = (libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_A) as u16;

    /// Set in the first byte of packets with a long header (RFC 8999 section 5.1).
    const LONG_HEADER: u32 = 0x80;
    /// Where the identifier begins behind a long header: one byte of flags, four of version, one of length.
    const LONG_IDENTIFIER_AT: u32 = 6;
    /// Where it begins behind a short header.
    const SHORT_IDENTIFIER_AT: u32 = 1;

    const fn instruction(code: u16, k: u32) -> libc::sock_filter {
        libc::sock_filter { code, jt: 0, jf: 0, k }
    }

    /// The program sees the UDP payload. A load beyond its end answers 0: too short a packet is the first shard's to drop.
    fn program(shards: u32) -> [libc::sock_filter; 7] {
        [
            instruction(LOAD_BYTE, 0),
            libc::sock_filter { code: JUMP_IF_SET, jt: 0, jf: 2, k: LONG_HEADER },
            instruction(LOAD_BYTE, LONG_IDENTIFIER_AT),
            instruction(JUMP, 1),
            instruction(LOAD_BYTE, SHORT_IDENTIFIER_AT),
            instruction(MODULO, shards),
            instruction(RETURN, 0),
        ]
    }

    /// Makes the kernel choose among the sockets of `member`'s group.
    pub(super) fn steer(member: &Socket, shards: usize) -> io::Result<()> {
        let shards = u32::try_from(shards).map_err(io::Error::other)?;
        let mut instructions = program(shards);
        let length = instructions.len() as u16;
        let filter = libc::sock_fprog { len: length, filter: instructions.as_mut_ptr() };
        attach(member, &filter)
    }

    #[expect(unsafe_code, reason = "SO_ATTACH_REUSEPORT_CBPF: neither std, socket2 nor rustix offers it")]
    fn attach(member: &Socket, filter: &libc::sock_fprog) -> io::Result<()> {
        // SAFETY: the descriptor is open for the life of `member`. The option reads one `sock_fprog` of the given size, and through its
        // pointer `len` instructions, all alive in the caller's frame; the kernel copies them before it returns and checks them.
        let result = unsafe {
            libc::setsockopt(
                member.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_REUSEPORT_CBPF,
                std::ptr::from_ref(filter).cast(),
                size_of::<libc::sock_fprog>() as libc::socklen_t,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use std::io;

    use socket2::Socket;

    pub(super) fn steer(_member: &Socket, _shards: usize) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "several shards need Linux"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn identifiers_lead_to_their_shard() {
        for shards in [1, 2, 3, 7, 64] {
            for shard in 0..shards {
                let mut identifiers = ShardIdentifiers { shard, shards };
                for _ in 0..200 {
                    let identifier = identifiers.generate_cid();
                    assert_eq!(identifier.len(), identifiers.cid_len());
                    assert_eq!(shard_of(identifier[0], shards), shard);
                }
            }
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_follows_the_same_rule() {
        steers(bind_group("127.0.0.1:0".parse().unwrap(), 3).unwrap());
        // A machine without IPv6 has nothing to steer there.
        if UdpSocket::bind("[::1]:0").is_ok() {
            steers(bind_group("[::]:0".parse().unwrap(), 3).unwrap());
        }
    }

    #[cfg(target_os = "linux")]
    fn steers(sockets: Vec<UdpSocket>) {
        let port = sockets[0].local_addr().unwrap().port();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for first in 0..=u8::MAX {
            let long = [0xc3, 0, 0, 0, 1, 9, first, 0xff, 0xff];
            let short = [0x43, first, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
            for packet in [long, short] {
                sender.send_to(&packet, ("127.0.0.1", port)).unwrap();
                let socket = &sockets[shard_of(first, sockets.len())];
                socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let mut buffer = [0; 64];
                let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("first byte {first}: {error}"));
                assert_eq!(buffer[..length], packet);
            }
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_second_group_on_the_same_port_is_refused() {
        let sockets = bind_group("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let error = bind_group(sockets[0].local_addr().unwrap(), 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
