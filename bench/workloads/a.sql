-- What a round trip costs here when nothing is done.
SELECT 1;
