"""The page where a person tries Kembar: HTML, CSS and JavaScript as they are served, without a build step."""
