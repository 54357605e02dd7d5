import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Executors;

/** Server PORT: the JDK's http server, /N answers a document from $DOCS. */
class Server {
	static void handle(HttpExchange x) throws IOException {
		byte[] body;

		if (x.getRequestMethod().equals("POST")) {
			int n = x.getRequestBody().readAllBytes().length;
			body = (n + "\n").getBytes();
		} else {
			body = Files.readAllBytes(
					Path.of(System.getenv("DOCS"),
						x.getRequestURI().getPath()));
		}
		x.sendResponseHeaders(200, body.length);
		try (OutputStream out = x.getResponseBody()) {
			out.write(body);
		}
	}

	public static void main(String[] args) throws IOException {
		InetSocketAddress at = new InetSocketAddress(
				InetAddress.getByName("127.0.0.1"),
				Integer.parseInt(args[0]));
		HttpServer server = HttpServer.create(at, 100);

		server.createContext("/", Server::handle);
		server.setExecutor(Executors.newFixedThreadPool(4));
		server.start();
	}
}
