#!/bin/bash
# tern serve with the kernel's clients: HTTP/1.1 as browsers and tools use it, and clients that misbehave.
# timeout: 120
LIMIT=${LIMIT:-110}
. "$(dirname "$0")/lib.bash"
device 0

www=$dir/www
mkdir -p "$www/sub/deep" "$www/indexed" "$www/.hidden"
head -c 1000000 /dev/urandom >"$www/data.bin"
printf 'hello\n' >"$www/hello.txt"
printf '<p>index</p>\n' >"$www/indexed/index.html"
printf 'a & b\n' >"$www/sub/a <b> & \"c\".txt"
printf 'secret\n' >"$dir/secret.txt"
printf 'secret\n' >"$www/.hidden/x"
ln -s ../secret.txt "$www/out"
ln -s hello.txt "$www/inside.txt"
: >"$www/empty.css"
mkfifo "$www/pipe"
start_serve "$www" --port 80 --port 8080 -v
U=http://192.0.2.1
get() { curl -sS --max-time 10 "$@"; }
code() { get -o /dev/null -w '%{http_code}' "$@"; }
header() { # header NAME CURL-ARGUMENTS...
    local name=$1
    shift
    get -D - -o /dev/null "$@" | tr -d '\r' | sed -n "s/^$name: //Ip"
}
is() { [ "$1" = "$2" ] || { echo "'$1', not '$2'"; return 1; }; }

check "a file comes byte for byte" cmp <(get $U/data.bin) "$www/data.bin"
check "the same over IPv6" cmp <(get 'http://[2001:db8::1]/data.bin') "$www/data.bin"
check "a second port" is "$(get $U:8080/hello.txt)" hello
check "an empty file" is "$(get -o /dev/null -w '%{http_code} %{size_download}' $U/empty.css)" '200 0'
check "HEAD gives the length and no body" is "$(header content-length -I $U/data.bin)" 1000000
check "HEAD and GET on one connection" is \
    "$(get -o /dev/null -w '%{http_code}' --head $U/hello.txt --next -sS $U/hello.txt)" '200hello'
check "Content-Type of text" is "$(header content-type $U/hello.txt)" 'text/plain; charset=utf-8'
check "Content-Type of CSS" is "$(header content-type $U/empty.css)" 'text/css; charset=utf-8'
check "Content-Type of unknown" is "$(header content-type $U/data.bin)" application/octet-stream
check "a missing file is 404" is "$(code $U/nothing)" 404
check "POST is 405" is "$(code -d x=1 $U/hello.txt)" 405
check "OPTIONS says what there is" is "$(header allow -X OPTIONS $U/)" 'GET, HEAD, OPTIONS'
check "an unknown method is refused" is "$(code -X BREW $U/hello.txt)" 501

check "a range from the middle" cmp <(get -r 1000-1999 $U/data.bin) \
    <(tail -c +1001 "$www/data.bin" | head -c 1000)
check "a range to the end" cmp <(get -r 999000- $U/data.bin) <(tail -c 1000 "$www/data.bin")
check "the last bytes" cmp <(get -r -77 $U/data.bin) <(tail -c 77 "$www/data.bin")
check "a range is 206 and says which" is "$(header content-range -r 5-9 $U/data.bin)" 'bytes 5-9/1000000'
truncate -s 5G "$www/large"
check "a range beyond 4 GiB" is "$(header content-range -r 5368709110- $U/large)" \
    'bytes 5368709110-5368709119/5368709120'
check "a range that cannot be is 416" is "$(code -r 1000000- $U/data.bin)" 416
check "416 says the size" is "$(header content-range -r 1000000- $U/data.bin)" 'bytes */1000000'
check "several ranges are answered whole" is "$(code -r 0-1,5-6 $U/data.bin)" 200
check "a malformed range is ignored" is "$(code -H 'Range: bytes=9-5' $U/data.bin)" 200
check "curl resumes a download" bash -c "head -c 5000 '$www/data.bin' >'$dir/part'
    curl -sS -C - -o '$dir/part' $U/data.bin && cmp '$dir/part' '$www/data.bin'"
etag=$(header etag $U/data.bin)
when=$(header last-modified $U/data.bin)
check "If-None-Match with the ETag is 304" is "$(code -H "If-None-Match: $etag" $U/data.bin)" 304
check "If-None-Match with a list is 304" is "$(code -H "If-None-Match: \"x\", W/$etag" $U/data.bin)" 304
check "If-None-Match with another is 200" is "$(code -H 'If-None-Match: "x"' $U/data.bin)" 200
check "If-Modified-Since is 304" is "$(code -H "If-Modified-Since: $when" $U/data.bin)" 304
check "If-Modified-Since long ago is 200" is \
    "$(code -H 'If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT' $U/data.bin)" 200
check "If-Range with the ETag gives the part" is "$(code -r 0-9 -H "If-Range: $etag" $U/data.bin)" 206
check "If-Range with another gives the whole" is "$(code -r 0-9 -H 'If-Range: "x"' $U/data.bin)" 200

check "a directory without slash moves" is "$(header location $U/sub)" /sub/
check "a directory has its index.html" is "$(get $U/indexed/)" '<p>index</p>'
listing=$(get $U/sub/)
check "a listing escapes names" grep -qF 'a &lt;b&gt; &amp; &quot;c&quot;.txt' <<<"$listing"
check "a listing's addresses work" is \
    "$(get "$U/sub/$(sed -n 's/.*href="\(a[^"]*\)".*/\1/p' <<<"$listing")")" 'a & b'
check "a listing names folders" grep -qF '<a href="deep/">deep/</a>' <<<"$listing"
check "hidden files are not listed" bash -c "! grep -q hidden <<<'$(get $U/ | tr "'" ' ')'"
check "hidden files are not served" is "$(code $U/.hidden/x)" 404

check "../ leads nowhere" is "$(code --path-as-is $U/../secret.txt)" 404
check "encoded ../ leads nowhere" is "$(code --path-as-is $U/sub/%2e%2e/%2E%2e/secret.txt)" 404
check "an encoded slash is refused" is "$(code --path-as-is $U/..%2fsecret.txt)" 400
check "an encoded NUL is refused" is "$(code $U/hello.txt%00)" 400
check "a symbolic link out of it leads nowhere" is "$(code $U/out)" 404
check "a symbolic link inside works" is "$(get $U/inside.txt)" hello
check "a pipe is no file to serve" is "$(code $U/pipe)" 403
check "dot segments inside are resolved" is "$(get --path-as-is $U/sub/./deep/../../hello.txt)" hello

raw() { printf "$1" | timeout 10 nc "${@:2}" 192.0.2.1 80; }
check "a half-closed client gets its answer" grep -q hello \
    <(raw 'GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n' -N)
check "so does one that asks for a megabyte" is \
    "$(raw 'GET /data.bin HTTP/1.0\r\n\r\n' -N | tail -c 1000000 | sha256sum)" \
    "$(sha256sum <"$www/data.bin")"
one='GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n'
five=$one$one$one$one$one
check "ten requests ahead of their answers" is "$(raw "$five$five" -N | grep -c '^hello')" 10
check "bare line feeds are understood" grep -q hello <(raw 'GET /hello.txt HTTP/1.0\n\n' -N)
check "HTTP/1.1 without Host is 400" grep -q '^HTTP/1.1 400' <(raw 'GET / HTTP/1.1\r\n\r\n' -N)
check "what is no HTTP is 400" grep -q '^HTTP/1.1 400' <(raw '\001\002\003 hello\r\n\r\n' -N)
check "a URL too long is 414" is "$(code "$U/$(printf 'a%.0s' $(seq 5000))")" 414
check "a head too long is 431" is "$(code -H "X: $(printf 'a%.0s' $(seq 40000))" $U/hello.txt)" 431
check "a request in single bytes" is "$(python3 -c '
import socket
s = socket.create_connection(("192.0.2.1", 80))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for b in b"GET /hello.txt HTTP/1.0\r\n\r\n":
    s.send(bytes([b]))
data = b""
while (d := s.recv(4096)):
    data += d
print(data.split(b"\r\n\r\n")[1].decode(), end="")')" hello
check "two requests on one connection, then close" is \
    "$(get -w '%{num_connects}' $U/hello.txt $U/hello.txt | tr -d '\n')" hello1hello0

# a client that does not read must not hold up the others, and gets everything when it reads
slow() {
    python3 - <<'PY'
import hashlib, socket, time, urllib.request
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
s.connect(("192.0.2.1", 80))
s.send(b"GET /data.bin HTTP/1.0\r\n\r\n")
time.sleep(1.5)
began = time.monotonic()
urllib.request.urlopen("http://192.0.2.1/data.bin").read()
assert time.monotonic() - began < 1, "another client was held up"
data = b""
while (d := s.recv(65536)):
    data += d
want = urllib.request.urlopen("http://192.0.2.1/data.bin").read()
assert data.split(b"\r\n\r\n", 1)[1] == want, "the slow client got something else"
PY
}
check "a slow client gets everything, and holds up nobody" slow

# bytes at random, requests with some of their bytes changed, and connections that end in the middle
noise() {
    python3 - "$RANDOM" <<'PY'
import random, socket, sys
rng = random.Random(int(sys.argv[1]))
print("seed", sys.argv[1])
good = (b"GET /hello.txt?x=%41 HTTP/1.1\r\nHost: a\r\nRange: bytes=0-3\r\nIf-None-Match: \"x\"\r\n"
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
for i in range(400):
    data = bytearray(good) if i % 4 else bytearray(rng.randbytes(rng.randrange(1, 3000)))
    for _ in range(rng.randrange(8)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    s = socket.create_connection(("192.0.2.1", 80), timeout=10)
    s.send(data[:rng.randrange(len(data) + 1)])
    if i % 3 == 0:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    elif i % 3 == 1:
        s.shutdown(socket.SHUT_WR)
        try:
            while s.recv(4096):
                pass
        except ConnectionResetError:
            pass
    s.close()
PY
    kill -0 "$serve"
}
check "noise does not harm it" noise

many() {
    python3 - <<'PY'
import resource, socket
n = min(2000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100)
resource.setrlimit(resource.RLIMIT_NOFILE, (n + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = [socket.create_connection(("192.0.2.1", 80), timeout=10) for _ in range(n)]
for s in held:
    s.send(b"GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n")
for i, s in enumerate(held):
    data = b""
    while not data.endswith(b"hello\n"):
        got = s.recv(4096)
        assert got, f"connection {i} ended early: {data!r}"
        data += got
print(n)
PY
}
check "2,000 connections at the same time" many
check "none of them is left" soon 5 bash -c "! '$tern' ss -b established close_wait last_ack"
check "a request for each was logged" bash -c \
    "[ \$(grep -c 'GET /hello.txt HTTP/1.1\" 200 6' '$dir/serve.out') -ge 2000 ]"

kill -TERM "$serve"
wait "$serve"
check "SIGTERM ends it with 0" is $? 0
check "refused afterwards: nobody is there" bash -c "! curl -s --max-time 1 -o /dev/null $U/hello.txt"
finish
