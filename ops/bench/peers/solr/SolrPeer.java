import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Properties;
import org.apache.solr.embedded.JettyConfig;
import org.apache.solr.embedded.JettySolrRunner;

/** Runs a Solr node until it is ended: {@code java -cp JARS SolrPeer.java SOLR_HOME PORT}. */
public final class SolrPeer {
    public static void main(String[] arguments) throws Exception {
        Path home = Paths.get(arguments[0]).toAbsolutePath();
        System.setProperty("solr.install.dir", home.toString());
        JettyConfig config = JettyConfig.builder()
            .setContext("/solr")
            .setPort(Integer.parseInt(arguments[1]))
            .useOnlyHttp1(true)
            .stopAtShutdown(true)
            .build();
        JettySolrRunner node = new JettySolrRunner(home.toString(), new Properties(), config);
        node.start();
        System.out.println("ready " + node.getBaseUrl());
        Thread.currentThread().join();
    }
}
