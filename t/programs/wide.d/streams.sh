# File transfer, shells, brokers, measuring programs.

program iperf3 "iperf3" \
	"iperf3: one stream, 8 streams, reversed, both ways, zero-copy (sendfile), 20 MB each"
wide_iperf3()
{
	local o
	free_port PORT
	serve iperf3 "$PORT" iperf3 -s -B 127.0.0.1 -p "$PORT" || return
	work
	for o in "-n 20M" "-n 20M -P 8" "-n 20M -R" "-n 20M -R -P 4" \
		"-n 20M --bidir" "-n 20M -Z" "-n 20M -l 1400" "-n 20M -N"; do
		# shellcheck disable=SC2086
		ask client iperf3 -c 127.0.0.1 -p "$PORT" -J $o >"$R/json"
		say "$o" $? "$("$PYTHON" - "$R/json" <<-'END'
		import json, sys
		e = json.load(open(sys.argv[1]))['end']
		# What was still under way at the end is received or not.
		print(len(e['streams']), e['sum_sent']['bytes'] >= 20e6)
		END
		)"
	done
	done_with iperf3
}

program rsync "rsync" \
	"rsync daemon: 10 MB and 400 small files fetched, sent back, checked again"
wide_rsync()
{
	local i
	free_port PORT
	mkdir -p "$R/src" "$R/up" "$R/down"
	cp "$DOCS/$BIG" "$DOCS/$MID" "$R/src/"
	for ((i = 0; i < 400; i++)); do
		echo "$i $i" >"$R/src/f$i"
	done
	cat >"$R/rsyncd.conf" <<-END
	port = $PORT
	address = 127.0.0.1
	use chroot = no
	uid = $(id -u)
	gid = $(id -g)
	[src]
	path = $R/src
	[up]
	path = $R/up
	read only = no
	END
	serve rsync "$PORT" rsync --daemon --no-detach \
		--config="$R/rsyncd.conf" || return
	work
	ask client rsync -a "rsync://127.0.0.1:$PORT/src/" "$R/down/"
	say fetched $? "$(diff -r "$R/src" "$R/down" && echo alike)"
	ask client rsync -a -z "$R/down/" "rsync://127.0.0.1:$PORT/up/"
	say sent $? "$(diff -r "$R/src" "$R/up" && echo alike)"
	echo more >>"$R/src/$BIG"
	ask client rsync -ac --no-whole-file "rsync://127.0.0.1:$PORT/src/" "$R/down/"
	say delta $? "$(diff -r "$R/src" "$R/down" && echo alike)"
	done_with rsync
	rm -rf "$R/src" "$R/up" "$R/down"
}

program git_daemon "git" \
	"git daemon: clone, fetch and push of a repository of 10 MB"
wide_git_daemon()
{
	local g
	free_port PORT
	g="git -c user.name=a -c user.email=a@b -c init.defaultBranch=main"
	mkdir -p "$R/g"
	$g init -q "$R/g/a"
	cp "$DOCS/$BIG" "$R/g/a/big"
	(cd "$R/g/a" && $g add big && $g commit -qm one &&
		git config receive.denyCurrentBranch ignore)
	serve git "$PORT" git daemon --export-all --base-path="$R/g" \
		--listen=127.0.0.1 --port="$PORT" --enable=receive-pack \
		--reuseaddr || return
	work
	ask client git clone -q "git://127.0.0.1:$PORT/a" "$R/clone"
	say clone $? "$(sum_of <"$R/clone/big")"
	(cd "$R/g/a" && cp "$DOCS/$MID" mid && $g add mid && $g commit -qm two)
	(cd "$R/clone" && ask client git pull -q)
	say pull $? "$(sum_of <"$R/clone/mid")"
	(cd "$R/clone" && cat big mid big >new && $g add new &&
		$g commit -qm three && ask client git push -q)
	say push $? "$(git -C "$R/g/a" cat-file blob HEAD:new | sum_of)"
	done_with git
	rm -rf "$R/g" "$R/clone"
}

program ssh "root /usr/sbin/sshd ssh scp ssh-keygen" \
	"OpenSSH: scp of 100 MB both ways, commands, a forwarded port"
wide_ssh()
{
	local s fwd
	free_port PORT
	free_port fwd
	mkdir -p "$R/ssh" /run/sshd
	ssh-keygen -q -t ed25519 -N '' -f "$R/ssh/host"
	ssh-keygen -q -t ed25519 -N '' -f "$R/ssh/id"
	cp "$R/ssh/id.pub" "$R/ssh/authorized"
	cat >"$R/ssh/sshd_config" <<-END
	Port $PORT
	ListenAddress 127.0.0.1
	HostKey $R/ssh/host
	AuthorizedKeysFile $R/ssh/authorized
	StrictModes no
	PidFile none
	UsePAM no
	PermitRootLogin yes
	Subsystem sftp internal-sftp
	END
	s="-F /dev/null -i $R/ssh/id -o StrictHostKeyChecking=no"
	s="$s -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
	"$TINY" -o 100000000 >"$R/huge"
	serve sshd "$PORT" /usr/sbin/sshd -D -e -f "$R/ssh/sshd_config" || return
	work
	# shellcheck disable=SC2086
	{
		ask client scp -q $s -P "$PORT" "$R/huge" "127.0.0.1:$R/up"
		say up $? "$(sum_of <"$R/up")"
		ask client scp -q $s -P "$PORT" "127.0.0.1:$R/huge" "$R/down"
		say down $? "$(sum_of <"$R/down")"
		say exit "$(tell client ssh $s -p "$PORT" 127.0.0.1 'echo hi; exit 3')"
		say pipe "$(ask client ssh $s -p "$PORT" 127.0.0.1 cat \
			<"$DOCS/$BIG" | sum_of)"
		serve tiny - "$TINY" -t "$((PORT + 1000))"
		wait_port $((PORT + 1000)) tiny
		serve forward "$fwd" ssh $s -N -p "$PORT" \
			-L "127.0.0.1:$fwd:127.0.0.1:$((PORT + 1000))" 127.0.0.1
		say forward "$(ask client curl -sS "http://127.0.0.1:$fwd/$BIG" \
			"http://127.0.0.1:$fwd/$MID" | sum_of)"
	}
	rm -f "$R/huge" "$R/up" "$R/down"
	done_with forward sshd tiny
}

program socat "socat" \
	"socat: fork to cat, a relay of two, half-close"
wide_socat()
{
	local two
	free_port PORT
	free_port two
	serve echo "$PORT" socat "TCP-LISTEN:$PORT,bind=127.0.0.1,reuseaddr,fork" \
		EXEC:cat || return
	serve relay "$two" socat "TCP-LISTEN:$two,bind=127.0.0.1,reuseaddr,fork" \
		"TCP:127.0.0.1:$PORT" || return
	work
	say direct "$(ask client socat -t 20 - "TCP:127.0.0.1:$PORT" \
		<"$DOCS/$BIG" | sum_of)"
	say relay "$(ask client socat -t 20 - "TCP:127.0.0.1:$two" \
		<"$DOCS/$BIG" | sum_of)"
	say one-way "$(ask client socat -u "OPEN:$DOCS/$MID" \
		"TCP:127.0.0.1:$two" 2>&1; echo $?)"
	done_with relay echo
}

program mosquitto "mosquitto mosquitto_pub mosquitto_sub" \
	"mosquitto: 2,000 messages, one of 10 MB, retained ones"
wide_mosquitto()
{
	local sub
	free_port PORT
	printf 'listener %s 127.0.0.1\nallow_anonymous true\nuser root\n' "$PORT" \
		>"$R/m.conf"
	printf 'max_queued_messages 0\nmessage_size_limit 0\n' >>"$R/m.conf"
	serve mosquitto "$PORT" mosquitto -c "$R/m.conf" || return
	work
	side_words client
	timeout 20 "${KMAP_WORDS[@]}" mosquitto_sub -p "$PORT" -h 127.0.0.1 \
		-q 1 -t lines -C 2000 >"$R/lines" 2>&1 &
	sub=$!
	sleep 0.5
	seq 2000 | ask client mosquitto_pub -p "$PORT" -h 127.0.0.1 -q 1 \
		-t lines -l
	say pub $?
	wait $sub
	say sub $? "$(sum_of <"$R/lines")"
	ask client mosquitto_pub -p "$PORT" -h 127.0.0.1 -r -t big \
		-f "$DOCS/$BIG"
	say big $? "$(ask client mosquitto_sub -p "$PORT" -h 127.0.0.1 \
		-t big -C 1 -N | sum_of)"
	done_with mosquitto
}

program vsftpd "root vsftpd curl" \
	"vsftpd: curl fetches and sends 10 MB, passive and active"
wide_vsftpd()
{
	free_port PORT
	mkdir -p "$R/ftp/in" "$R/empty"
	cp "$DOCS/$BIG" "$R/ftp/"
	chown ftp: "$R/ftp/in"
	cat >"$R/v.conf" <<-END
	listen=YES
	listen_address=127.0.0.1
	listen_port=$PORT
	background=NO
	anonymous_enable=YES
	anon_root=$R/ftp
	anon_upload_enable=YES
	write_enable=YES
	anon_umask=022
	secure_chroot_dir=$R/empty
	connect_from_port_20=NO
	seccomp_sandbox=${SECCOMP:-NO}
	END
	serve vsftpd "$PORT" vsftpd "$R/v.conf" || return
	work
	say passive "$(ask client curl -sS "ftp://127.0.0.1:$PORT/$BIG" | sum_of)"
	say active "$(ask client curl -sS -P 127.0.0.1 \
		"ftp://127.0.0.1:$PORT/$BIG" | sum_of)"
	ask client curl -sS -T "$DOCS/$BIG" "ftp://127.0.0.1:$PORT/in/up"
	say up $? "$(sum_of <"$R/ftp/in/up")"
	say list "$(ask client curl -sS -l "ftp://127.0.0.1:$PORT/" | sort | tr '\n' ' ')"
	done_with vsftpd
	rm -rf "$R/ftp"
}

program nbd "nbdkit nbdcopy" \
	"nbdkit: 40 MB fetched, from server to server on two connections, fetched one by one"
wide_nbd()
{
	local two
	free_port PORT
	free_port two
	cat "$DOCS/$BIG" "$DOCS/$BIG" "$DOCS/$BIG" >"$R/disk"
	truncate -s 40M "$R/disk" "$R/copy"
	serve disk "$PORT" nbdkit -f -i 127.0.0.1 -p "$PORT" file "$R/disk" ||
		return
	serve memory "$two" nbdkit -f -i 127.0.0.1 -p "$two" memory 40M ||
		return
	work
	ask client nbdcopy "nbd://127.0.0.1:$PORT" "$R/copy"
	say fetched $? "$(sum_of <"$R/copy")"
	ask client nbdcopy --connections=2 "nbd://127.0.0.1:$PORT" \
		"nbd://127.0.0.1:$two"
	say copied $?
	ask client nbdcopy --synchronous "nbd://127.0.0.1:$two" "$R/copy"
	say again $? "$(sum_of <"$R/copy")"
	rm -f "$R/disk" "$R/copy"
	done_with disk memory
}

program stunnel "stunnel openssl ab curl" \
	"stunnel: a TLS client and a TLS server in front of tiny"
wide_stunnel()
{
	local tls plain
	free_port PORT
	free_port tls
	free_port plain
	openssl req -new -x509 -days 2 -nodes -subj /CN=localhost \
		-out "$R/cert" -keyout "$R/key" 2>/dev/null
	cat >"$R/server.conf" <<-END
	foreground = yes
	pid =
	syslog = no
	[server]
	accept = 127.0.0.1:$tls
	connect = 127.0.0.1:$PORT
	cert = $R/cert
	key = $R/key
	END
	cat >"$R/client.conf" <<-END
	foreground = yes
	pid =
	syslog = no
	[client]
	client = yes
	accept = 127.0.0.1:$plain
	connect = 127.0.0.1:$tls
	END
	serve tiny "$PORT" "$TINY" -t "$PORT" || return
	serve server "$tls" stunnel "$R/server.conf" || return
	serve inner "$plain" stunnel "$R/client.conf" || return
	work
	say curl "$(ask client curl -sS "http://127.0.0.1:$plain/$SMALL" \
		"http://127.0.0.1:$plain/$MID" "http://127.0.0.1:$plain/$BIG" |
		sum_of)"
	say tls "$(ask client curl -sSk "https://127.0.0.1:$tls/$BIG" | sum_of)"
	say ab "$(ask client ab -q -k -n 2000 -c 10 \
		"http://127.0.0.1:$plain/$SMALL" |
		grep -E '^(Complete|Failed|Non-2xx|HTML)')"
	done_with inner server tiny
}
