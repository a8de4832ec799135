"""A drawn shop: products, photographs as sellers take them, and titles as sellers write them."""
