"""Files and folders that are whole when they exist, and what is known of them."""
