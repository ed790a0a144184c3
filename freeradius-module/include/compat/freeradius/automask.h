/*
 *  Stand-in for a generated header that Debian's libfreeradius-dev leaves out. Only the server's own sources need what
 *  the real one defines. Found last (-idirafter), so a real one wins.
 */
