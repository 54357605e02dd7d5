# Databases and queues.

program postgres "initdb setpriv root pgbench psql" \
	"PostgreSQL: pgbench with 8 clients, COPY of 20 MB in and out, LISTEN, a query cancelled, the same through SSL"
wide_postgres()
{
	local q pg i
	user postgres
	if [ ! -d "$WORK/pgdata" ]; then
		mkdir "$WORK/pgdata"
		owned postgres "$WORK/pgdata"
		(cd "$WORK/pgdata" && "${AS[@]}" initdb -D "$WORK/pgdata" -A trust -N \
			--locale=C -E UTF8 >"$WORK/initdb.log" 2>&1) || {
			fail "$(label initdb)"
			diag "$(tail "$WORK/initdb.log")"
			return
		}
		(cd "$WORK/pgdata" && "${AS[@]}" openssl req -new -x509 \
			-days 2 -nodes -subj /CN=localhost -out server.crt \
			-keyout server.key 2>/dev/null
		chmod 600 server.key)
	fi
	free_port PORT
	BEFORE=("${AS[@]}")
	STOP_SIGNAL=INT
	serve postgres "$PORT" postgres -D "$WORK/pgdata" -p "$PORT" \
		-c listen_addresses=127.0.0.1 -c unix_socket_directories= \
		-c fsync=off -c ssl=on || return
	BEFORE=()
	q="host=127.0.0.1 port=$PORT user=postgres dbname=postgres sslmode"
	for ((i = 0; i < 100; i++)); do
		psql -c 'select 1' "$q=disable" >/dev/null 2>&1 && break
		sleep 0.1
	done
	work
	say create "$(ask client psql -qX "$q=disable" -c 'drop table if exists big' \
		-c 'create table big(i int, t text)' 2>&1)" $?
	ask client psql -qX "$q=disable" -c "copy (select g, md5(g::text) from
		generate_series(1, 500000) g) to stdout" >"$R/copy"
	say out "$(sum_of <"$R/copy")" $?
	ask client psql -qX "$q=disable" -c 'copy big from stdin' <"$R/copy"
	say in $?
	say count "$(ask client psql -qAtX "$q=disable" -c \
		'select count(*), sum(i), md5(string_agg(t, $$,$$ order by i)) from big')"
	ask client psql -qAtX "$q=require" -c 'copy big to stdout' | sum_of >>"$R/result"
	# Cancelled by psql's SIGINT, over a connection of its own.
	side_words client
	timeout -s INT 1 "${KMAP_WORDS[@]}" psql -qAtX "$q=disable" \
		-c 'select pg_sleep(20)' >"$R/cancel" 2>&1
	say cancelled $? "$(cat "$R/cancel")"
	say listen "$(ask client psql -qAtX "$q=disable" -c 'listen a' \
		-c "notify a, 'b'" -c 'select 1' 2>&1 |
		sed 's/PID [0-9]*//')"
	ask client pgbench -i -q "$q=disable" >/dev/null 2>&1
	say init $?
	for i in simple extended prepared; do
		say "$i" "$(ask client pgbench -n -S -c 8 -j 2 -M $i -t 1500 \
			"$q=disable" 2>&1 | grep -E 'processed|failed')"
	done
	say tpc "$(ask client pgbench -n -c 8 -j 4 -t 200 "$q=disable" 2>&1 |
		grep -E 'processed|failed')"
	say ssl "$(ask client pgbench -n -S -c 4 -j 2 -t 500 "$q=require" 2>&1 |
		grep -E 'processed|failed')"
	# A new connection for each transaction.
	say connects "$(ask client pgbench -n -S -C -c 4 -j 2 -t 50 \
		"$q=disable" 2>&1 | grep -E 'processed|failed')"
	rm -f "$R/copy"
	done_with postgres
	STOP_SIGNAL=
}

program mariadb "mariadbd mariadb mariadb-install-db mariadb-slap root" \
	"MariaDB: 20 MB in and out, mariadb-slap with 16 clients, one thread each and the thread pool; a query timed out"
wide_mariadb()
{
	local pool m
	user mysql
	if [ ! -d "$WORK/mysql" ]; then
		mkdir "$WORK/mysql"
		owned mysql "$WORK/mysql"
		mariadb-install-db --no-defaults --user=mysql \
			--datadir="$WORK/mysql" --skip-test-db \
			--auth-root-authentication-method=normal \
			>"$WORK/install-db.log" 2>&1 || {
			fail "$(label mariadb-install-db)"
			diag "$(tail "$WORK/install-db.log")"
			return
		}
	fi
	: >"$R/total"
	for pool in one-thread-per-connection pool-of-threads; do
		free_port PORT
		serve mariadb "$PORT" mariadbd --no-defaults --user=mysql \
			--datadir="$WORK/mysql" --port="$PORT" \
			--bind-address=127.0.0.1 --socket="$WORK/mysql/s$PORT" \
			--skip-name-resolve --thread-handling=$pool \
			--max-allowed-packet=64M \
			--innodb-flush-log-at-trx-commit=0 || return
		m=(-h127.0.0.1 -P"$PORT" -uroot)
		[ $pool = pool-of-threads ] || work
		ask client mariadb "${m[@]}" -e 'create database if not exists w; use w;
			drop table if exists b; create table b(i int primary key, t longtext)'
		say create $?
		{
			echo -n "insert into w.b values (1, '"
			base64 -w 0 "$DOCS/$BIG"
			echo "');"
		} | ask client mariadb "${m[@]}" --max-allowed-packet=64M
		say insert $?
		say select "$(ask client mariadb "${m[@]}" \
			--max-allowed-packet=64M -N -r \
			-e 'select t from w.b; select t from w.b' | sum_of)"
		say slap "$(ask client mariadb-slap "${m[@]}" --concurrency=16 \
			--number-of-queries=8000 --auto-generate-sql \
			--auto-generate-sql-load-type=read 2>&1 | grep -c clients)"
		say time-out "$(tell client mariadb "${m[@]}" -N -e \
			'set statement max_statement_time=0.3 for select sleep(5)')"
		[ $pool = pool-of-threads ] || {
			round_end mariadb
			continue
		}
		done_with mariadb
	done
}
