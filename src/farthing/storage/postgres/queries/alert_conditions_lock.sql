-- Nobody else moves a condition until the end of the transaction; it happens seldom, and takes a millisecond.
LOCK TABLE alert_conditions IN SHARE ROW EXCLUSIVE MODE
