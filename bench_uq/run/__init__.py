"""Train, predict and store the runs of a plan, in processes of their own or on other machines."""
