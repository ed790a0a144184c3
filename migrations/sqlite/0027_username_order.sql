-- Names are in the order of their octets already: nothing is to be done, but for the number, which is the same in both.
SELECT 1;
