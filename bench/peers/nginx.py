#!/usr/bin/env python3
"""nginx on the kernel's TCP, asked by wrk over a pair of veth devices; for `./dev bench` (bench/README.md).

    nginx.py [W5|W5c]... [--seconds S]

Two network namespaces of their own, all on the core that this process is pinned to; the processor time is
that of nginx and wrk, with the kernel's in it. wrk knows whole seconds only, so a run lasts one at least."""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

WITHIN = 'PEER_NGINX_NAMESPACE'
SERVER, CLIENT = '192.0.2.1', '192.0.2.2'
CONFIG = """daemon off; worker_processes 1; pid {place}/pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 1000000000; default_type text/plain;
    client_body_temp_path {place}/a; proxy_temp_path {place}/b; fastcgi_temp_path {place}/c;
    uwsgi_temp_path {place}/d; scgi_temp_path {place}/e;
    server {{ listen {address}:80 backlog=4096; location / {{ return 200 "{answer}"; }} }}
}}
"""
SETTINGS = {'tcp_max_tw_buckets': '10000', 'ip_local_port_range': '1024 65535'}


def run(*argv):
    subprocess.run(argv, check=True, capture_output=True)


def processor_seconds(pid):
    with open(f'/proc/{pid}/schedstat', encoding='ascii') as file:
        return int(file.read().split()[0]) / 1e9


def worker_of(pid):
    for _ in range(100):
        with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as file:
            found = file.read().split()
        if found:
            return int(found[0])
        time.sleep(0.02)
    raise SystemExit('peer nginx: it has no worker')


def device(inside, name, address):
    """One end of the pair; neither nginx nor wrk can choose CUBIC, so the route does."""
    run(*inside, 'ip', 'addr', 'add', address + '/24', 'dev', name)
    run(*inside, 'ip', 'link', 'set', name, 'up')
    run(*inside, 'ip', 'route', 'replace', '192.0.2.0/24', 'dev', name, 'congctl', 'cubic')
    for setting, value in SETTINGS.items():
        run(*inside, 'sysctl', '-w', f'net.ipv4.{setting}={value}')


def start(argv, **more):
    """A child that ends with this process, whatever ends it."""
    ends = ['setpriv', '--pdeathsig', 'KILL', *argv]
    return subprocess.Popen(ends, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)


def two_namespaces():
    """The other namespace's process; this one has the server's end."""
    other = start(['unshare', '-n', 'sleep', '1000'])
    mine = os.readlink('/proc/self/ns/net')
    while os.readlink(f'/proc/{other.pid}/ns/net') == mine:
        time.sleep(0.01)
    inside = ['nsenter', '-t', str(other.pid), '-n']
    run('ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
    run('ip', 'link', 'set', 'v1', 'netns', str(other.pid))
    device([], 'v0', SERVER)
    device(inside, 'v1', CLIENT)
    return other, inside


def measure(row, inside, worker, seconds):
    closes = ['-H', 'Connection: close'] if row == 'W5c' else []
    argv = ['wrk', '-t1', '-c64', f'-d{max(1, round(seconds))}s', *closes, f'http://{SERVER}/']
    before, children = processor_seconds(worker), os.times()
    wrk = subprocess.run([*inside, *argv], capture_output=True, text=True, check=False)
    after, end = os.times(), processor_seconds(worker)
    used = end - before
    used += after.children_user + after.children_system - children.children_user - children.children_system
    requests = re.search(r'(\d+) requests in', wrk.stdout)
    if not requests or 'Socket errors' in wrk.stdout:
        raise SystemExit('peer nginx: wrk said: ' + wrk.stdout + wrk.stderr)
    line = {'workload': row, 'case': '', 'stack': 'nginx', 'unit': 'requests/cpu-s'}
    print(json.dumps({**line, 'value': round(int(requests.group(1)) / used)}), flush=True)


def main():
    if WITHIN not in os.environ:
        argv = ['unshare', '-n', sys.executable, os.path.abspath(__file__), *sys.argv[1:]]
        os.execvpe('unshare', argv, {**os.environ, WITHIN: '1'})
    words = sys.argv[1:]
    seconds = float(words[words.index('--seconds') + 1]) if '--seconds' in words else 1
    with tempfile.TemporaryDirectory() as place:
        config = os.path.join(place, 'nginx.conf')
        with open(config, 'w', encoding='ascii') as file:
            file.write(CONFIG.format(place=place, address=SERVER, answer='x' * 128))
        os.chmod(place, 0o755)
        other, inside = two_namespaces()
        nginx = start(['nginx', '-c', config, '-p', place])
        try:
            worker = worker_of(nginx.pid)
            time.sleep(0.1)
            for row in ('W5', 'W5c'):
                if row in words or not any(word in words for word in ('W5', 'W5c')):
                    measure(row, inside, worker, seconds)
        finally:
            nginx.send_signal(signal.SIGTERM)
            nginx.wait()
            other.kill()
            other.wait()


if __name__ == '__main__':
    main()
