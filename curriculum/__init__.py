"""Say what is learned when, and hand it over: manifest, plan, build, feed, report and the command line."""
