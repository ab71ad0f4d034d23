"""What views must say of the volumes that they show."""
