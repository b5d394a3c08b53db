// May the agent do this, now?  Exit status 0: ALLOW.  1: DENY.  2: no answer,
// and so no.
//
//   java -cp /usr/share/java/postgresql.jar Check.java AGENT ACTION TARGET && the action
//
// It connects to PGHOST, PGPORT, PGDATABASE as PGUSER, by TCP, which is all
// that JDBC speaks.  A role that is bound to the agent needs no token; else it
// is in CLAIIM_TOKEN.

import java.sql.*;

public class Check {
    static String env(String name, String otherwise) {
        return System.getenv().getOrDefault(name, otherwise);
    }

    public static void main(String[] args) {
        String url = "jdbc:postgresql://" + env("PGHOST", "localhost") + ":" + env("PGPORT", "5432") + "/" + env("PGDATABASE", "");
        String question = "SELECT outcome, chron_id, reason FROM pg_catalog.claiim_check(?, ?, ?, token => ?)";
        int status = 2;
        try (Connection connection = DriverManager.getConnection(url, env("PGUSER", ""), env("PGPASSWORD", ""));
                PreparedStatement statement = connection.prepareStatement(question)) {
            for (int i = 0; i < 3; i++)
                statement.setString(i + 1, args[i]);
            statement.setString(4, System.getenv("CLAIIM_TOKEN"));  // bound, never in the text; null: the role decides
            try (ResultSet row = statement.executeQuery()) {
                row.next();
                System.out.println(row.getString(1) + " " + row.getString(2) + " " + row.getString(3));
                status = row.getString(1).equals("ALLOW") ? 0 : 1;
            }
        } catch (SQLException | RuntimeException e) {
            System.err.println("no answer: " + e.getMessage());
        }
        System.exit(status);
    }
}
