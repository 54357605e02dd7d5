# Configurations of nginx, for the tests that use it.

# nginx_conf FILE PORT LOCATION-BODY [HTTP-LINE...]: everything that it writes
# lies beside the file
nginx_conf()
{
	local file=$1 port=$2 location=$3 dir user=root
	shift 3
	dir=${file%.conf}.d
	mkdir -p "$dir"
	! drop_uid || user='nobody nogroup'
	{
		cat <<-END
		daemon off;
		user $user;
		worker_processes 2;
		pid $dir/pid;
		error_log $dir/error.log warn;
		events { worker_connections 1024; }
		http {
			access_log off;
			sendfile on;
			tcp_nopush on;
			keepalive_requests 100000000;
			client_body_temp_path $dir/body;
			proxy_temp_path $dir/proxy;
			fastcgi_temp_path $dir/fastcgi;
			uwsgi_temp_path $dir/uwsgi;
			scgi_temp_path $dir/scgi;
		END
		printf '\t%s\n' "$@"
		cat <<-END
			server {
				listen 127.0.0.1:$port;
				location / { $location }
			}
		}
		END
	} >"$file"
}

# nginx_serve SIDE PORT: with the configuration $R/SIDE.conf
nginx_serve()
{
	serve "$1" "$2" nginx -e "$R/$1.err" -c "$R/$1.conf"
}
