//! Reaches for what a program usually finds around it: environment, network,
//! file system. None of it may be there.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::{env, fs, io};

use wasip2::filesystem::preopens;
use wasip2::sockets::network::{
    IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress, Network,
};
use wasip2::sockets::{instance_network, ip_name_lookup, tcp_create_socket, udp_create_socket};

use crate::{Attempt, attempt};

/// All environment variables, and nothing where there are none.
pub fn environment() -> Vec<Attempt> {
    env::vars().collect()
}

/// Connects by TCP and binds UDP. The interfaces are called directly: a guest's
/// standard library may lack them, the host must deny them all the same.
pub fn connect(address: &str) -> Vec<Attempt> {
    let parsed: SocketAddr = match address.parse() {
        Ok(parsed) => parsed,
        Err(error) => return vec![attempt("parse", Err::<(), _>(error))],
    };
    let network = instance_network::instance_network();
    vec![
        attempt("tcp connect", tcp_connect(&network, parsed)),
        attempt("tcp listen", tcp_listen(&network, parsed)),
        attempt("udp bind", udp_bind(&network, parsed)),
    ]
}

fn tcp_connect(network: &Network, address: SocketAddr) -> Result<(), String> {
    let socket = tcp_create_socket::create_tcp_socket(family(address)).map_err(text)?;
    socket
        .start_connect(network, socket_address(address))
        .map_err(text)?;
    socket.subscribe().block();
    socket.finish_connect().map(drop).map_err(text)
}

fn tcp_listen(network: &Network, address: SocketAddr) -> Result<(), String> {
    let socket = tcp_create_socket::create_tcp_socket(family(address)).map_err(text)?;
    socket
        .start_bind(network, any_port(address))
        .map_err(text)?;
    socket.subscribe().block();
    socket.finish_bind().map_err(text)?;
    socket.start_listen().map_err(text)?;
    socket.subscribe().block();
    socket.finish_listen().map_err(text)
}

fn udp_bind(network: &Network, address: SocketAddr) -> Result<(), String> {
    let socket = udp_create_socket::create_udp_socket(family(address)).map_err(text)?;
    socket
        .start_bind(network, any_port(address))
        .map_err(text)?;
    socket.subscribe().block();
    socket.finish_bind().map_err(text)?;
    socket
        .stream(Some(socket_address(address)))
        .map(drop)
        .map_err(text)
}

/// The unspecified address of the same family, any port.
fn any_port(address: SocketAddr) -> IpSocketAddress {
    let any: SocketAddr = if address.is_ipv4() {
        ([0_u8; 4], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    socket_address(any)
}

fn family(address: SocketAddr) -> IpAddressFamily {
    if address.is_ipv4() {
        IpAddressFamily::Ipv4
    } else {
        IpAddressFamily::Ipv6
    }
}

fn socket_address(address: SocketAddr) -> IpSocketAddress {
    match address {
        SocketAddr::V4(v4) => {
            let [a, b, c, d] = v4.ip().octets();
            IpSocketAddress::Ipv4(Ipv4SocketAddress {
                port: v4.port(),
                address: (a, b, c, d),
            })
        }
        SocketAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h] = v6.ip().segments();
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port: v6.port(),
                flow_info: v6.flowinfo(),
                address: (a, b, c, d, e, f, g, h),
                scope_id: v6.scope_id(),
            })
        }
    }
}

/// Looks up a name: the lookup alone tells somebody something.
pub fn resolve(name: &str) -> Vec<Attempt> {
    let network = instance_network::instance_network();
    let outcome = ip_name_lookup::resolve_addresses(&network, name).and_then(|addresses| {
        addresses.subscribe().block();
        addresses.resolve_next_address().map(drop)
    });
    vec![attempt("resolve", outcome.map_err(text))]
}

/// The interfaces' error codes have a name and no text.
fn text(error: impl Debug) -> String {
    format!("{error:?}")
}

/// Lists what was opened for the guest, then goes for usual places.
pub fn files() -> Vec<Attempt> {
    let opened = preopens::get_directories()
        .into_iter()
        .map(|(_, name)| (format!("preopen {name}"), "ok".to_owned()));
    let listed = ["/", ".", "..", "/in", "/out", "/tmp", "/proc/self/fd"].map(list);
    let read = [
        "/etc/passwd",
        "../etc/passwd",
        "/proc/self/environ",
        "/proc/self/exe",
        "/dev/zero",
    ]
    .map(open);
    let created = ["/x", "x", "../x", "/tmp/x", "/in/x", "/out/x"].map(create);
    opened.chain(listed).chain(read).chain(created).collect()
}

fn list(path: &str) -> Attempt {
    attempt(
        format!("list {path}"),
        fs::read_dir(path).and_then(|mut entries| entries.next().transpose().map(drop)),
    )
}

fn open(path: &str) -> Attempt {
    attempt(format!("read {path}"), fs::File::open(path).map(drop))
}

fn create(path: &str) -> Attempt {
    let written: io::Result<()> = fs::write(path, "x");
    attempt(format!("create {path}"), written)
}
