# Web servers, proxies and their clients.

# web_docs SIDE URL: three documents by curl on one connection, then each on
# its own, by wget and by aria2c in four parts
web_docs()
{
	local side=$1 url=$2 i
	for i in 1 2 3; do
		say curl "$(ask "$side" curl -sS "$url/$SMALL" "$url/$MID" \
			"$url/$BIG" "$url/$SMALL" | sum_of)"
	done
	say wget "$(ask "$side" wget -q -O - "$url/$BIG" "$url/$MID" | sum_of)"
	say head "$(ask "$side" curl -sSI "$url/$MID" |
		grep -Eic '^(http/1.1 200|content-length: 100000)')"
	say range "$(ask "$side" curl -sS -r 5000-4999999 "$url/$BIG" | sum_of)"
	command -v aria2c >/dev/null || return 0
	ask "$side" aria2c -q --no-conf -x 4 -s 4 -k 1M --allow-overwrite=true \
		-d "$R" -o aria "$url/$BIG"
	say aria2c $? "$(sum_of <"$R/aria")"
	rm -f "$R/aria"
}

# web_load SIDE URL: ab, kept alive and not, and siege
web_load()
{
	local side=$1 url=$2
	say ab "$(ask "$side" ab -q -k -n 4000 -c 20 "$url/$SMALL" |
		grep -E '^(Complete|Failed|Non-2xx|HTML)')"
	say ab "$(ask "$side" ab -q -n 400 -c 8 "$url/$MID" |
		grep -E '^(Complete|Failed|Non-2xx|HTML)')"
	command -v siege >/dev/null || return 0
	say siege "$(HOME=$R ask "$side" siege -q -b -c 8 -r 50 --no-parser \
		"$url/$MID" 2>&1 | tr -d '\t' |
		grep -E '"(transactions|availability|failed)' | tr -d ' ')"
}

apache_conf()
{
	local m
	mkdir -p "$R/run" "$DOCS/cgi"
	printf '#!/bin/sh\necho Content-Type: text/plain\necho\n%s\n' \
		"env | grep -c REMOTE_PORT; cat" >"$DOCS/cgi/echo"
	chmod 755 "$DOCS/cgi/echo"
	{
		for m in "mpm_$1" authz_core dir alias env proxy proxy_http \
			proxy_fcgi; do
			echo "LoadModule ${m}_module /usr/lib/apache2/modules/mod_$m.so"
		done
		if [ "$1" = prefork ]; then
			echo "LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so"
		else
			echo "LoadModule cgid_module /usr/lib/apache2/modules/mod_cgid.so"
			echo "ScriptSock $R/run/cgisock"
		fi
		cat <<-END
		ServerRoot $R/run
		ServerName localhost
		User www-data
		Group www-data
		DefaultRuntimeDir $R/run
		PidFile $R/run/pid
		ErrorLog $R/run/error.log
		Mutex file:$R/run
		Listen 127.0.0.1:$PORT
		KeepAlive on
		MaxKeepAliveRequests 0
		GracefulShutdownTimeout 3
		DocumentRoot $DOCS
		ScriptAlias /cgi/ $DOCS/cgi/
		ProxyPass /proxy/ http://127.0.0.1:$PORT/
		<Directory $DOCS>
			Require all granted
		</Directory>
		END
	} >"$R/apache.conf"
}

apache()
{
	free_port PORT
	apache_conf "$1"
	serve apache "$PORT" apache2 -f "$R/apache.conf" -DFOREGROUND || return
	work
	web_docs client "http://127.0.0.1:$PORT"
	web_load client "http://127.0.0.1:$PORT"
	say proxy "$(ask client curl -sS "http://127.0.0.1:$PORT/proxy/$BIG" \
		"http://127.0.0.1:$PORT/proxy/$MID" | sum_of)"
	say cgi "$(ask client curl -sS --data-binary "@$DOCS/$MID" \
		"http://127.0.0.1:$PORT/cgi/echo" | sum_of)"
	# Restart with the old children finishing, while a slow client reads.
	side_words client
	"${KMAP_WORDS[@]}" curl -sS --limit-rate 8M \
		"http://127.0.0.1:$PORT/$BIG" 2>&1 | sum_of >"$R/slow" &
	sleep 0.3
	kill -USR1 "$(pid_of apache)"
	wait $!
	say graceful "$(cat "$R/slow")"
	wait_port "$PORT" apache
	say again "$(ask client curl -sS --retry 5 --retry-connrefused \
		"http://127.0.0.1:$PORT/$MID" | sum_of)"
	done_with apache
	grep -E 'AH00052|exit signal' "$R/run/error.log" | cut -d: -f 5- |
		sed 's/pid [0-9]*//' >>"$R/result"
}

APACHE="root apache2 ab curl wget /usr/lib/apache2/modules"
APACHE_DOES="curl, wget, aria2c, ab, siege; CGI, a proxy to itself, graceful restart under way"
program apache_event "$APACHE" "Apache, event: $APACHE_DOES"
wide_apache_event() { apache event; }
program apache_worker "$APACHE" "Apache, worker: the same"
wide_apache_worker() { apache worker; }
program apache_prefork "$APACHE" "Apache, prefork: the same"
wide_apache_prefork() { apache prefork; }

program lighttpd "lighttpd ab curl wget" \
	"lighttpd, two workers: the same clients"
wide_lighttpd()
{
	free_port PORT
	cat >"$R/lighttpd.conf" <<-END
	server.document-root = "$DOCS"
	server.bind = "127.0.0.1"
	server.port = $PORT
	server.max-worker = 2
	server.max-keep-alive-requests = 100000
	END
	serve lighttpd "$PORT" lighttpd -D -f "$R/lighttpd.conf" || return
	work
	web_docs client "http://127.0.0.1:$PORT"
	web_load client "http://127.0.0.1:$PORT"
	done_with lighttpd
}

program php_fpm "root php-fpm8.2 nginx ab curl wget" \
	"PHP-FPM behind nginx, FastCGI over TCP: scripts that answer, and that read what is posted"
wide_php_fpm()
{
	local fpm url
	free_port fpm
	free_port PORT
	mkdir -p "$R/php" "$R/nginx.d"
	cat >"$R/php/a.php" <<-'END'
	<?php
	if ($_SERVER['REQUEST_METHOD'] == 'POST') {
		$b = file_get_contents('php://input');
		echo strlen($b), ' ', md5($b), "\n";
	} else
		readfile($_GET['f']);
	END
	cat >"$R/fpm.conf" <<-END
	[global]
	daemonize = no
	error_log = $R/fpm.log
	[www]
	user = www-data
	listen = 127.0.0.1:$fpm
	pm = static
	pm.max_children = 12
	php_admin_value[post_max_size] = 64M
	END
	. "$PROGRAMS/nginx.sh"
	nginx_conf "$R/nginx.conf" "$PORT" "
		root $R/php; client_max_body_size 64m;
		fastcgi_pass fpm; fastcgi_keep_conn on;
		include /etc/nginx/fastcgi_params;
		fastcgi_param SCRIPT_FILENAME $R/php/a.php;" \
		"upstream fpm { server 127.0.0.1:$fpm; keepalive 2; }"
	serve fpm "$fpm" php-fpm8.2 -F -y "$R/fpm.conf" -n || return
	serve nginx "$PORT" nginx -c "$R/nginx.conf" || return
	url="http://127.0.0.1:$PORT/a.php"
	work
	say get "$(ask client curl -sS "$url?f=$DOCS/$BIG" \
		"$url?f=$DOCS/$MID" "$url?f=$DOCS/$SMALL" | sum_of)"
	say post "$(ask client curl -sS --data-binary "@$DOCS/$BIG" "$url")"
	say ab "$(ask client ab -q -k -n 2000 -c 4 "$url?f=$DOCS/$SMALL" |
		grep -E '^(Complete|Failed|Non-2xx|HTML)')"
	done_with nginx fpm
}

program squid "root squid ab curl wget" \
	"Squid in front of tiny: the same clients, CONNECT, a cached answer"
wide_squid()
{
	local p
	free_port PORT
	free_port p
	mkdir -p "$R/squid"
	owned proxy "$R/squid"
	cat >"$R/squid.conf" <<-END
	http_port 127.0.0.1:$p
	http_access allow all
	pid_filename none
	cache_log $R/squid/cache.log
	access_log none
	cache_store_log none
	coredump_dir $R/squid
	cache_mem 16 MB
	maximum_object_size_in_memory 200 KB
	shutdown_lifetime 0 seconds
	netdb_filename none
	visible_hostname localhost
	pinger_enable off
	END
	serve tiny "$PORT" "$TINY" -t "$PORT" || return
	serve squid "$p" squid -N -f "$R/squid.conf" || return
	work
	export http_proxy=http://127.0.0.1:$p
	web_docs client "http://127.0.0.1:$PORT"
	unset http_proxy
	say connect "$(ask client curl -sS -p -x "127.0.0.1:$p" \
		"http://127.0.0.1:$PORT/$BIG" "http://127.0.0.1:$PORT/$MID" |
		sum_of)"
	say ab "$(ask client ab -q -k -n 2000 -c 10 -X "127.0.0.1:$p" \
		"http://127.0.0.1:$PORT/$SMALL" |
		grep -E '^(Complete|Failed|Non-2xx|HTML)')"
	done_with squid tiny
}

program varnish "root varnishd ab curl wget" \
	"Varnish in front of nginx: the same clients, a pipe"
wide_varnish()
{
	local p
	free_port PORT
	free_port p
	. "$PROGRAMS/nginx.sh"
	nginx_conf "$R/nginx.conf" "$PORT" "root $DOCS;"
	cat >"$R/a.vcl" <<-END
	vcl 4.0;
	backend default { .host = "127.0.0.1"; .port = "$PORT"; }
	sub vcl_recv {
		if (req.url ~ "pipe") { return (pipe); }
		if (req.url ~ "pass") { return (pass); }
	}
	END
	serve nginx "$PORT" nginx -c "$R/nginx.conf" || return
	serve varnish "$p" varnishd -F -n "$WORK/$MODE/vn" -f "$R/a.vcl" \
		-a "127.0.0.1:$p" -s malloc,64m -T none || return
	work
	web_docs client "http://127.0.0.1:$p"
	web_load client "http://127.0.0.1:$p"
	say pass "$(ask client curl -sS "http://127.0.0.1:$p/$BIG?pass" \
		"http://127.0.0.1:$p/$MID?pass" | sum_of)"
	say pipe "$(ask client curl -sS "http://127.0.0.1:$p/$BIG?pipe" | sum_of)"
	done_with varnish nginx
}

program h2o "h2o ab curl wget h2load root" \
	"h2o, two threads: the same clients, and h2load"
wide_h2o()
{
	free_port PORT
	cat >"$R/h2o.conf" <<-END
	num-threads: 2
	user: nobody
	listen: { port: $PORT, host: 127.0.0.1 }
	hosts:
	  default:
	    paths: { "/": { file.dir: "$DOCS" } }
	END
	serve h2o "$PORT" h2o -m worker -c "$R/h2o.conf" || return
	work
	web_docs client "http://127.0.0.1:$PORT"
	web_load client "http://127.0.0.1:$PORT"
	say h2load "$(ask client h2load -n 300 -c 6 -m 8 \
		"http://127.0.0.1:$PORT/$MID" | grep ^requests: )"
	done_with h2o
}

program tinyproxy "tinyproxy curl wget" \
	"tinyproxy in front of tiny, with CONNECT"
wide_tinyproxy()
{
	local p
	free_port PORT
	free_port p
	printf 'Port %s\nListen 127.0.0.1\nTimeout 20\nMaxClients 50\n' "$p" \
		>"$R/tp.conf"
	serve tiny "$PORT" "$TINY" -t "$PORT" || return
	serve tinyproxy "$p" tinyproxy -d -c "$R/tp.conf" || return
	work
	say connect "$(ask client curl -sS -p -x "127.0.0.1:$p" \
		"http://127.0.0.1:$PORT/$BIG" "http://127.0.0.1:$PORT/$MID" |
		sum_of)"
	export http_proxy=http://127.0.0.1:$p
	web_docs client "http://127.0.0.1:$PORT"
	unset http_proxy
	done_with tinyproxy tiny
}
