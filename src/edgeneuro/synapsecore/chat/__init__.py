"""Chat completions: a conversation's next message, by the agent that the router chooses."""
