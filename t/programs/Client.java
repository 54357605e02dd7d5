import java.io.InputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * Client PORT TIMES SIZE...: get documents by the JDK's http client, which
 * waits in a selector, and by a plain blocking Socket; each keeps one
 * connection, every body is compared with $DOCS. Prints the bytes that were
 * right.
 */
class Client {
	static long right;

	static byte[] doc(String size) throws Exception {
		return Files.readAllBytes(Path.of(System.getenv("DOCS"), size));
	}

	static void check(byte[] got, byte[] want) {
		if (!Arrays.equals(got, want)) {
			System.err.println("a body of " + want.length
					+ " bytes is wrong");
			System.exit(1);
		}
		right += got.length;
	}

	static void bySelector(String port, int times, String[] sizes)
			throws Exception {
		HttpClient client = HttpClient.newBuilder()
				.version(HttpClient.Version.HTTP_1_1).build();
		URI at = URI.create("http://127.0.0.1:" + port + "/");

		for (String size : sizes) {
			byte[] want = doc(size);

			for (int i = 0; i < times; i++)
				check(client.send(HttpRequest.newBuilder(
						at.resolve(size)).build(),
					HttpResponse.BodyHandlers.ofByteArray())
					.body(), want);
			String said = client.send(HttpRequest.newBuilder(at)
					.POST(HttpRequest.BodyPublishers
						.ofByteArray(want)).build(),
				HttpResponse.BodyHandlers.ofString()).body();
			if (!said.equals(size + "\n"))
				System.exit(1);
		}
	}

	static int headLength(InputStream in) throws Exception {
		StringBuilder head = new StringBuilder();

		while (head.indexOf("\r\n\r\n") < 0) {
			int c = in.read();

			if (c < 0)
				System.exit(1);
			head.append((char) c);
		}
		for (String line : head.toString().toLowerCase().split("\r\n"))
			if (line.startsWith("content-length:"))
				return Integer.parseInt(
						line.substring(15).trim());
		return -1;
	}

	static void bySocket(String port, int times, String[] sizes)
			throws Exception {
		try (Socket s = new Socket("127.0.0.1",
				Integer.parseInt(port))) {
			InputStream in = s.getInputStream();
			OutputStream out = s.getOutputStream();

			s.setSoTimeout(20000);
			for (String size : sizes) {
				for (int i = 0; i < times; i++) {
					out.write(("GET /" + size
						+ " HTTP/1.1\r\nHost: x\r\n\r\n")
						.getBytes(StandardCharsets
							.US_ASCII));
					check(in.readNBytes(headLength(in)),
							doc(size));
				}
			}
		}
	}

	public static void main(String[] args) throws Exception {
		String[] sizes = Arrays.copyOfRange(args, 2, args.length);
		int times = Integer.parseInt(args[1]);

		bySelector(args[0], times, sizes);
		bySocket(args[0], times, sizes);
		System.out.println(right);
		System.exit(0);
	}
}
