# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real programs, and the loads that ask them."""

import json
import os
import re
import shutil
import socket
import subprocess

from lab import HERE, Failed, free_port, lo_bytes, top_builddir

SBIN = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def need(name, package):
    path = shutil.which(name, path=SBIN)
    if not path:
        raise Failed(f"{name} is missing: apt-get install {package}")
    return path


def find_envoy():
    """The release binary, or Failed with the reason. It was fetched before
    the network became a private one."""
    path = os.environ.get("KMAP_ENVOY")
    if not path:
        raise Failed(os.environ.get("KMAP_NO_ENVOY") or
                     "no Envoy: name it in KMAP_ENVOY")
    return path


# Tracers --------------------------------------------------------------------

REDIS_CALLS = "accept,accept4,read,write,epoll_ctl,epoll_wait"


def kmap_trace():
    path = os.path.join(top_builddir(), "trace", "kmap-trace")
    if not os.path.exists(path):
        raise Failed("kmap-trace is not built: run `make` first")
    return os.path.abspath(path)


def counted(path, pattern):
    """How many lines of a file match."""
    with open(path, encoding="utf-8", errors="replace") as f:
        return sum(1 for line in f if re.search(pattern, line))


def number(text, pattern):
    """The number that a summary has for something; 0 if it lacks it."""
    found = re.search(pattern, text, re.MULTILINE)
    return int(found.group(1)) if found else 0


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def uftrace_writes(path):
    out = subprocess.run(["uftrace", "report", "--no-pager", "-d", path, "-f",
                          "call"], stdin=subprocess.DEVNULL,
                         capture_output=True, text=True, timeout=60,
                         check=False).stdout
    return number(out, r"^ *(\d+) +write$")


def tracers(lab):
    """(label, words before the program, requests or None: as many as are
    made in a while, and how many calls of write it has in the end). The
    calls are those that redis makes on sockets; uftrace can only have all
    library calls, or some with what they call."""
    out = {name: lab.path(name) for name in (
        "redis.kmap", "verify.kmap", "strace-c", "strace-k", "ltrace",
        "uftrace", "uftrace-a", "perf")}
    strace = ["strace", "-f", "--seccomp-bpf", "-e",
              f"trace=%network,{REDIS_CALLS}", "-o"]
    names = REDIS_CALLS.split(",")

    def trace(name):
        return [kmap_trace(), "-q", "-o", out[name]]

    def table(name):
        return lambda: number(read(out[name]),
                              r'^"write@[^"]*" = \{ count = (\d+)')

    def uftrace(name, *words):
        return ["uftrace", "record", "--force", "-d", out[name], *words]
    return [
        ("kmap-trace, with stacks", trace("redis.kmap"), None,
         table("redis.kmap")),
        ("kmap-trace --verify", trace("verify.kmap") + ["--verify"], 20000,
         table("verify.kmap")),
        ("strace -c --seccomp-bpf", strace + [out["strace-c"], "-c"], 20000,
         lambda: number(read(out["strace-c"]),
                        r"^(?: *[\d.]+){3} +(\d+)\b.* write$")),
        ("strace -k --seccomp-bpf", strace + [out["strace-k"], "-k"], 200,
         lambda: counted(out["strace-k"], r"^\d+ +write\(")),
        ("ltrace", ["ltrace", "-f", "-o", out["ltrace"], "-e",
                    "+".join(names)], 500,
         lambda: counted(out["ltrace"], r"->write\(")),
        ("uftrace, all library calls", uftrace("uftrace"), 20000,
         lambda: uftrace_writes(out["uftrace"])),
        ("uftrace -a, these calls",
         uftrace("uftrace-a", "-a", *[f"-F{x}" for x in names]), 20000,
         lambda: uftrace_writes(out["uftrace-a"])),
        ("perf trace", ["perf", "trace", "-o", out["perf"], "-e",
                        REDIS_CALLS], 2000,
         lambda: counted(out["perf"], r" write\(")),
    ]


# Callgrind's output --------------------------------------------------------

def line_costs(text):
    """{(object, file, line): instructions} of one that was written with
    --compress-strings=no --compress-pos=no."""
    costs, obj, name, inclusive = {}, "", "", False
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if inclusive:
            # What the callee cost: it is counted there.
            inclusive = False
        elif key == "ob":
            obj = value
        elif key in ("fl", "fi", "fe"):
            name = value
        elif key == "calls":
            inclusive = True
        elif line[:1].isdigit():
            where, cost = line.split()[:2]
            at = (obj, os.path.basename(name), int(where))
            costs[at] = costs.get(at, 0) + int(cost)
    return costs


def share_of(costs, obj, source):
    """Of obj's instructions, the part on lines that source(file, line)
    says yes to; None if there is none at all."""
    mine = {at: n for at, n in costs.items()
            if os.path.basename(at[0]) == obj}
    total = sum(mine.values())
    part = sum(n for at, n in mine.items() if source(at[1], at[2]))
    return part / total if total and part else None


# Servers --------------------------------------------------------------------

def redis(lab, kmap, tracer=()):
    """tracer: the words of a command that runs it."""
    port = free_port()
    server = lab.start("redis", [
        *tracer, need("redis-server", "redis-server"), "--port", str(port),
        "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
        "--loglevel", "warning", "--dir", lab.dir], port, kmap)
    with socket.create_connection(("127.0.0.1", port), 5) as s:
        s.sendall(b"SET key:__rand_int__ xyz\r\n")
        if s.recv(64) != b"+OK\r\n":
            raise Failed("redis did not take a key")
    return server


def redis_ends(server, grace=20):
    """By its own command: a tracer then sees its end, and writes all."""
    with socket.create_connection(("127.0.0.1", server.port), 5) as s:
        s.sendall(b"SHUTDOWN NOSAVE\r\n")
        s.recv(64)
    try:
        server.proc.wait(grace)
    except subprocess.TimeoutExpired:
        raise Failed(f"{server.name} did not end") from None


NGINX = """\
daemon off;
{user}
worker_processes 1;
pid {dir}/nginx.{port}.pid;
error_log {dir}/nginx.{port}.error.log crit;
events {{ worker_connections 4096; }}
http {{
	access_log off;
	sendfile on;
	tcp_nopush on;
	tcp_nodelay on;
	keepalive_requests 1000000000;
	client_body_temp_path {dir}/nginx.{port}.body;
	proxy_temp_path {dir}/nginx.{port}.proxy;
	fastcgi_temp_path {dir}/nginx.{port}.fastcgi;
	uwsgi_temp_path {dir}/nginx.{port}.uwsgi;
	scgi_temp_path {dir}/nginx.{port}.scgi;
{upstream}
	server {{
		listen 0.0.0.0:{port} backlog=4096;
		root {dir}/www;
{location}
	}}
}}
"""
# The same bytes as the file's, without the file: opening it is most of what
# nginx does for a request, whatever carries the answer.
MEMORY = f"""\
		location = /memory {{
			return 200 "{('0123456789abcdef' * 44)[:700]}";
		}}
"""
UPSTREAM = """\
	upstream service {{
		server 127.0.0.1:{service};
		keepalive 64;
		keepalive_requests 1000000000;
	}}
"""
LOCATION = """\
		location / {
			proxy_pass http://service;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_max_temp_file_size 0;
		}
"""


def make_www(lab, sizes):
    os.makedirs(lab.path("www"), exist_ok=True)
    for n in sizes:
        with open(lab.path(f"www/{n}"), "wb") as f:
            f.write((b"0123456789abcdef" * (n // 16 + 1))[:n])
    for d in (lab.dir, lab.path("www")):
        os.chmod(d, 0o755)


def nginx(lab, kmap, service=None, extra=None):
    """A file server, or the proxy of the service on that port."""
    port = free_port()
    conf = lab.write(f"nginx.{port}.conf", NGINX.format(
        dir=lab.dir, port=port,
        # In a user namespace there is no other user to change to.
        user="user root;" if os.geteuid() == 0 else "",
        upstream=UPSTREAM.format(service=service) if service else "",
        location=LOCATION if service else MEMORY))
    make_www(lab, (700,))
    return lab.start("nginx-proxy" if service else "nginx",
                     [need("nginx", "nginx-light"), "-e", "stderr",
                      "-p", lab.dir, "-c", conf], port, kmap, extra)


LISTENER = """\
  - name: {name}
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: {filter}
        typed_config:
"""
TCP_FILTER = """\
          "@type": type.googleapis.com/envoy.extensions.filters.network.\
tcp_proxy.v3.TcpProxy
          stat_prefix: tcp
          cluster: service
"""
HTTP_FILTER = """\
          "@type": type.googleapis.com/envoy.extensions.filters.network.\
http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: "/"}
                route: {cluster: service, timeout: 0s}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.\
router.v3.Router
"""
CLUSTER = """\
  clusters:
  - name: service
    type: STATIC
    connect_timeout: 5s
    circuit_breakers:
      thresholds: [{{max_connections: 8192, max_pending_requests: 8192,
                    max_requests: 8192}}]
    load_assignment:
      cluster_name: service
      endpoints:
      - lb_endpoints:
        - endpoint:
            address:
              socket_address: {{address: 127.0.0.1, port_value: {service}}}
"""


def envoy(lab, kmap, binary, service, extra=None, tracer=()):
    """A sidecar: .http_port is the router's, .tcp_port the TCP proxy's."""
    http, tcp, admin = free_port(), free_port(), free_port()
    name = "envoy.network_filter"
    text = ("admin:\n  address: {socket_address: {address: 127.0.0.1, "
            f"port_value: {admin}}}}}\n"
            "static_resources:\n  listeners:\n" +
            LISTENER.format(name="http", port=http, filter=name) +
            HTTP_FILTER +
            LISTENER.format(name="tcp", port=tcp, filter=name) + TCP_FILTER +
            CLUSTER.format(service=service))
    conf = lab.write(f"envoy.{http}.yaml", text)
    server = lab.start("envoy", [
        *tracer, binary, "-c", conf, "--concurrency", "1", "-l", "error",
        "--disable-hot-restart"], http, kmap, extra)
    server.http_port, server.tcp_port = http, tcp
    return server


def tiny(lab, kmap, extra=None):
    program = os.path.join(top_builddir(), "t", "tiny")
    if not os.path.exists(program):
        raise Failed("t/tiny is not built: run `make demo`, or `make check`")
    port = free_port()
    return lab.start("tiny", [os.path.abspath(program), "-t", str(port)],
                     port, kmap, extra)


# Loads ----------------------------------------------------------------------

class Sample:
    """One run: a rate, quantiles, and what it cost for each operation."""

    def __init__(self, n, secs, p50=None, p99=None, cpu=None, lo=None,
                 nbytes=0):
        self.n, self.secs, self.p50, self.p99 = n, secs, p50, p99
        self.rate, self.nbytes = n / secs, nbytes
        self.cpu = [c / n for c in cpu or []]
        self.lo = None if lo is None else lo / n

    @property
    def cpu_sum(self):
        return sum(self.cpu)


def watched(servers, load):
    """load() -> (n, secs, p50, p99, bytes), and what the servers spent."""
    lo = lo_bytes()
    cpu = [s.cpu_ns() for s in servers]
    n, secs, p50, p99, nbytes = load()
    cpu = [s.cpu_ns() - c for s, c in zip(servers, cpu)]
    return Sample(n, secs, p50, p99, cpu, lo_bytes() - lo, nbytes)


def redis_benchmark(lab, kmap, port, n, connections, pipeline):
    out = lab.run([need("redis-benchmark", "redis-tools"), "-p", str(port),
                   "-t", "get", "-n", str(n), "-c", str(connections),
                   "-P", str(pipeline), "--csv"], kmap, 60)
    head, row = [[x.strip('"') for x in line.split(",")]
                 for line in out.strip().splitlines()[-2:]]
    r = dict(zip(head, row))
    return (n, n / float(r["rps"]), float(r["p50_latency_ms"]) * 1e6,
            float(r["p99_latency_ms"]) * 1e6, 0)


def wrk(lab, kmap, url, connections, secs, headers=(), tick=None, extra=None):
    """wrk knows whole seconds only."""
    secs = max(1, round(secs))
    argv = [need("wrk", "wrk"), "-t1", f"-c{connections}", f"-d{secs}s",
            "-s", os.path.join(HERE, "wrk.lua")]
    for h in headers:
        argv += ["-H", h]
    out = lab.run(argv + [url], kmap, secs + 20, extra, tick)
    r = json.loads(out.strip().splitlines()[-1])
    if r["status"] or r["errors"] or not r["n"]:
        raise Failed(f"wrk: {r['n']} responses, {r['status']} of them bad, "
                     f"{r['errors']} errors")
    return r["n"], r["secs"], r["p50"], r["p99"], r["bytes"]
